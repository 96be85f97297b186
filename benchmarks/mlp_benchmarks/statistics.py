"""The ratio of two contenders' times, and how sure it is.

Rounds are paired: what slowed down a machine for a moment slowed down both. And rounds of one process are no
independent witnesses: a process keeps the places in memory that it was given, and is one or two per cent faster or
slower for its whole life. What can be repeated is the process (T. Kalibera and R. Jones, "Rigorous benchmarking in
reasonable time", ISMM 2013), so both are drawn again in the bootstrap: processes, and rounds inside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

DRAWS = 1000
LEVEL = 0.95
NORMAL_QUANTILE = 1.959964
"""Of the same level."""


@dataclass(frozen=True)
class Ratio:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


def paired_ratio(times: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]]) -> Ratio | None:
    """How many times as long as `baseline` something takes; None where there are no two pairs.

    The estimate is the geometric mean, over processes, of each process's median ratio. The interval is that of a
    percentile bootstrap, its deviations widened for there being few processes: by √(P/(P−1)) because a drawn spread
    is that much too small, and by Student's quantile over the normal one (T. Hesterberg, "What teachers should know
    about the bootstrap", 2015). With a single process only its rounds can be drawn: it is widened for there being few
    of those, and does not know how another process would have done.

    Args:
        times: of the rounds, by process.
        baseline: the same of the other contender, measured in the same rounds.

    >>> ratio = paired_ratio([[2.0, 2.2, 1.8], [2.0, 2.1, 1.9]], [[1.0, 1.1, 0.9], [1.0, 1.0, 1.0]])
    >>> round(ratio.value, 3), ratio.low < 2.0 < ratio.high
    (2.0, True)
    """
    # An interrupt can come between two turns of one round: only whole rounds make pairs.
    pairs = [list(zip(a, b, strict=False)) for a, b in zip(times, baseline, strict=False)]
    logs = [np.log([a / b for a, b in process]) for process in pairs if process]
    if sum(map(len, logs)) < 2:
        return None
    estimate = float(np.mean([np.median(rounds) for rounds in logs]))
    rng, count = np.random.default_rng(0), len(logs)
    # For each draw and each of its places for a process: the median of each process's redrawn rounds, of which the
    # process drawn for that place is taken.
    medians = [np.median(rounds[rng.integers(0, len(rounds), (DRAWS, count, len(rounds)))], axis=2) for rounds in logs]
    chosen = rng.integers(0, count, (DRAWS, count))
    means = np.take_along_axis(np.stack(medians, axis=2), chosen[:, :, None], axis=2).mean(axis=(1, 2))
    drawn = count if count > 1 else len(logs[0])
    widened = np.sqrt(drawn / (drawn - 1)) * float(stdtrit(drawn - 1, (1 + LEVEL) / 2)) / NORMAL_QUANTILE
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - estimate
    return Ratio(*(float(np.exp(x)) for x in (estimate, estimate + widened * low, estimate + widened * high)))
