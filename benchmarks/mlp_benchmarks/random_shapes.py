"""Architectures that nobody chose: a kernel that is fast at multiples of 64 only is found out."""

from collections.abc import Sequence

import numpy as np

from mlp_benchmarks.cases import Case
from mlp_benchmarks.contenders import BASELINE, OURS
from mlp_benchmarks.records import Record

RANDOM_CONTENDERS = ("numba", "torch", "torch-compile", "jax", "jax-scan")
LAYERS, WIDTH, BATCH = (1, 6), (1, 1500), (1, 512)
"""The smallest and the largest of each."""


def random_cases(count: int, seed: int) -> list[Case]:
    """Networks of 1 to 6 layers whose inputs, widths and batch are drawn uniformly over the logarithm, none rounded.

    The last layer has 2 outputs at least: it classifies. Features are random, and so are labels.

    >>> case = random_cases(1, seed=0)[0]
    >>> case.name, case.widths, case.batch
    ('random-0-0', (7, 1, 1, 629, 84, 209), 296)
    """
    rng = np.random.default_rng(seed)

    def draw(low: int, high: int) -> int:
        return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))

    cases = []
    for number in range(count):
        n_layers, batch = int(rng.integers(LAYERS[0], LAYERS[1] + 1)), draw(*BATCH)
        widths = (*(draw(*WIDTH) for _ in range(n_layers)), draw(2, WIDTH[1]))
        cases.append(Case(f"random-{seed}-{number}", widths, batch, "cross_entropy", "random"))
    return cases


def slower_lines(records: Sequence[Record]) -> list[str]:
    """Where a framework was faster than `numba`, by more than the interval of their ratio; and how often none was."""
    peers = [record for record in records if record.contender not in OURS and record.ratio_high is not None]
    races = {(record.case, record.optimizer, record.threads) for record in peers}
    lines, lost = [], set()
    for record in peers:
        if record.ratio is not None and record.ratio_high is not None and record.ratio_high < 1:
            lost.add((record.case, record.optimizer, record.threads))
            some = "thread" if record.threads == 1 else "threads"
            lines.append(
                f"{BASELINE} is slower than {record.contender}: {record.optimizer}, batch {record.batch}, "
                f"{'-'.join(map(str, record.widths))}, {record.threads} {some}: {1 / record.ratio:.2f} times as long"
            )
    return [*lines, f"{BASELINE} is the fastest, or level, in {len(races) - len(lost)} of {len(races)} races"]
