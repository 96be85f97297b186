"""Whether a contender does the same work: its loss curve beside that of the float64 NumPy backend.

Two correct float32 programs do not agree to the bit, since they sum in different orders. How far they may part is
not guessed but measured, on the very case, by Monte Carlo arithmetic (D. S. Parker, 1997): the NumPy backend runs
in float32 with all parameters moved before every step by a random relative ±√D·u. u = 2⁻²⁴ is float32's unit
roundoff and D the largest number of inputs of a layer; by the probabilistic bound of N. Higham and T. Mary (SIAM J.
Sci. Comput. 41, 2019) no order of summing D products errs by more than a small multiple of √D·u. Whatever the
network makes of that (a ReLU that switches a step early, Adam dividing one tiny gradient by another) it makes of a
contender's rounding too.

The bound on a step's relative gap is 4 times the largest gap that these runs had reached by that step, plus 4 times
the loss's own rounding: u, and u√K / ℓ for the sum of K exponentials whose logarithm is a part of the loss ℓ, by the
same theorem; NumPy sums in pairs and errs by less, others need not. The bound grows with the steps, so a lie shows in
the first ones, where rounding has not had time to grow: a learning rate times 1.0005, which for SGD is a gradient
times 1.0005, is refused. What Adam's curve cannot show is a gradient's scale, which Adam divides out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.samples import Samples as HeldOut
from mlp_benchmarks.samples import load_samples
from mlp_benchmarks.work import Work
from mlp_scratch import MLP
from mlp_scratch._types import Array, IntArray
from mlp_scratch.backends import Plan, Records, Samples, State, get_backend
from mlp_scratch.losses import LOSSES, Loss
from mlp_scratch.machine import usable_cores
from mlp_scratch.optimizers import Adam, Optimizer
from mlp_scratch.program import lower

AdamForm = Literal["torch", "keras", "keras-float32"]
"""Where Adam adds eps, `mlp_scratch.Adam`'s `eps_mode`; and whether 1 − βᵗ is computed in float32, which is only
right to some 1e-5: β rounded to float32 and raised to a power is next to 1, of which it is then subtracted."""
Curve = npt.NDArray[np.float64]

NOISY_RUNS = 4
NOISY_RUNS_OF_LARGE = 2
LARGE = 1_000_000
"""Parameters. From here on a run takes many seconds, so there are fewer."""
MARGIN = 4
UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The loss curve that a contender must follow.

    Attributes:
        losses: of the float64 NumPy backend, (steps,).
        bound: the relative gap allowed at each step, (steps,).
    """

    losses: Curve
    bound: Curve

    def gap(self, losses: Curve) -> float:
        """The largest relative gap of a curve, which may be shorter than the reference."""
        return float(np.max(_gaps(losses, self.losses)))

    def first_refused(self, losses: Curve) -> int | None:
        """The first step, counted from 1, that is not within its bound (a NaN never is); None if all are."""
        refused = ~(_gaps(losses, self.losses) <= self.bound[: len(losses)])
        return int(refused.argmax()) + 1 if refused.any() else None


class ReferenceMaker:
    """References for one work; of no use to time, so they are made on all cores.

    Several threads may ask at once. What forms have in common is made once: Keras' two have one curve, and a curve
    that is cut off comes from the same samples' losses.
    """

    def __init__(self, work: Work) -> None:
        self._work, self._lock = work, Lock()
        self._exact: dict[Optimizer, ExactCurve] = {}
        self._bounds: dict[bool, Curve] = {}

    def get(self, adam_form: AdamForm, most_loss: float | None = None) -> Reference:
        """The reference for contenders whose Adam has this form, and who report no larger loss of a sample."""
        self.make([adam_form])
        form = self._form(adam_form)
        return Reference(self._exact[form.rule].cut_off(most_loss), self._bounds[form.coarse])

    def make(self, adam_forms: Iterable[AdamForm]) -> None:
        """Make what these forms still lack, all of it side by side: the NumPy backend takes one core for a curve."""
        work = self._work
        many = NOISY_RUNS if work.case.n_parameters < LARGE else NOISY_RUNS_OF_LARGE
        with self._lock, ThreadPoolExecutor(usable_cores()) as pool:
            forms = [self._form(each) for each in adam_forms]
            rules = dict.fromkeys(rule for form in forms for rule in (form.rule, form.shaken))
            exact = {rule: pool.submit(exact_curve, work, rule) for rule in rules if rule not in self._exact}
            shaken = {form.coarse: form.shaken for form in forms if form.coarse not in self._bounds}
            noisy = {
                coarse: [pool.submit(noisy_curve, work, rule, run, coarse_correction=coarse) for run in range(many)]
                for coarse, rule in shaken.items()
            }
            self._exact |= {rule: curve.result() for rule, curve in exact.items()}
            for coarse, runs in noisy.items():
                around = self._exact[shaken[coarse]].losses
                self._bounds[coarse] = rounding_bound(work, around, [run.result() for run in runs])

    def _form(self, adam_form: AdamForm) -> "_Form":
        rule = self._work.rule
        if not isinstance(rule, Adam) or adam_form == "torch":
            return _Form(rule, rule, coarse=False)
        keras = replace(rule, eps_mode="keras")
        # Where eps is added makes no difference to rounding.
        return _Form(keras, keras, coarse=True) if adam_form == "keras-float32" else _Form(keras, rule, coarse=False)


class _Form(NamedTuple):
    """How a contender writes the optimiser.

    Attributes:
        rule: of the curve that it must follow.
        shaken: of the noisy runs that bound its rounding.
        coarse: whether its 1 − β₂ᵗ is that of float32.
    """

    rule: Optimizer
    shaken: Optimizer
    coarse: bool


@dataclass(frozen=True, eq=False)
class ExactCurve:
    """The curve of the float64 NumPy backend.

    Attributes:
        losses: of the steps, as the backend reports them, (steps,).
        of_samples: the loss of each sample of their batches, (steps, batch).
    """

    losses: Curve
    of_samples: Curve

    def cut_off(self, most: float | None) -> Curve:
        """The curve of who reports no larger loss of a sample than `most`."""
        return self.losses if most is None else np.minimum(self.of_samples, most).mean(axis=1)


def exact_curve(work: Work, rule: Optimizer) -> ExactCurve:
    """What a contender is compared with."""
    recording = Recording(LOSSES[work.case.loss], [])
    losses = loss_curve(work, rule, loss=recording)
    return ExactCurve(losses, np.array(recording.of_samples))


@dataclass(frozen=True)
class Recording(Loss):
    """A loss that keeps the loss of each sample of each batch, and is otherwise the same.

    Attributes:
        loss: the loss.
        of_samples: what it keeps, an array (N,) a batch.
    """

    kind: ClassVar[str] = "recording"
    loss: Loss
    of_samples: list[Array]

    def prepare(self, y: object, n_outputs: int, dtype: "np.dtype[np.floating]") -> Array:
        return self.loss.prepare(y, n_outputs, dtype)

    def value(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        self.of_samples.append(self.loss.sample_values(z, t))
        return self.loss.value(z, t, weights)

    def gradient(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        return self.loss.gradient(z, t, weights)


def noisy_curve(work: Work, rule: Optimizer, run: int, *, coarse_correction: bool = False) -> Curve:
    """The losses in float32 with all parameters moved before every step, by random numbers of this run's own.

    With `coarse_correction` Adam's 1 − β₂ᵗ is off by what t roundings of β₂ᵗ make of it, up or down by turns of runs.
    """
    rng = np.random.default_rng(run)
    size = np.float32(np.sqrt(max(work.case.widths[:-1])) * UNIT_ROUNDOFF)

    def shake(model: MLP) -> None:
        signs = rng.integers(0, 2, model.n_parameters, dtype=np.int8) * 2 - 1
        model.flat[...] *= 1 + size * signs.astype(np.float32)

    lr = np.full(work.steps_checked, rule.lr)
    if coarse_correction and isinstance(rule, Adam):
        t = np.arange(1, work.steps_checked + 1)
        power = rule.beta2**t
        lr *= 1 + (-1) ** run * (t + 1) * UNIT_ROUNDOFF * power / (1 - power) / 2  # half: under a root
    return loss_curve(work, rule, dtype="float32", before_step=shake, lr=lr)


def rounding_bound(work: Work, exact: Curve, noisy: Sequence[Curve]) -> Curve:
    """How far a correct float32 curve may be from `exact` at each step, relatively: (steps_checked,)."""
    own = UNIT_ROUNDOFF * (1 + np.sqrt(work.case.widths[-1]) / exact)
    gaps = [_gaps(losses, exact) for losses in noisy]
    return MARGIN * np.maximum.accumulate(np.max(gaps, axis=0) + own)


def loss_curve(
    work: Work,
    rule: Optimizer,
    *,
    dtype: str = "float64",
    before_step: Callable[[MLP], None] = lambda model: None,
    lr: Curve | None = None,
    loss: Loss | None = None,
) -> Curve:
    """The losses of the first steps on the NumPy backend, (steps_checked,), from the injected weights.

    Args:
        work: what is trained.
        rule: the optimiser.
        dtype: of the arithmetic.
        before_step: is given the model before every step, to look at or to change in place.
        lr: of each step; the optimiser's if not given.
        loss: the case's if not given.
    """
    losses = []
    rates = np.full(work.steps_checked, rule.lr) if lr is None else lr
    for i, (model, look, take) in enumerate(_steps(work, rule, dtype, rates, loss or LOSSES[work.case.loss])):
        before_step(model)
        losses.append(take() if i < len(rates) - 1 else look())  # nobody sees where the last step would lead
    return np.array(losses)


def accuracy_curve(work: Work, steps: int) -> Curve:
    """The share of held-out samples that are right after 0, 1, ... steps on the float32 NumPy backend, (steps + 1,)."""
    held_out = load_samples(work.case)
    accuracies = []
    rates = np.full(steps, work.rule.lr)
    for model, _, take in _steps(work, work.rule, "float32", rates, LOSSES[work.case.loss]):
        accuracies.append(_accuracy(model, held_out))
        take()
    return np.array([*accuracies, _accuracy(model, held_out)])


def _accuracy(model: MLP, held_out: HeldOut) -> float:
    return float(np.mean(model.logits(held_out.X_test, backend="numpy").argmax(axis=1) == held_out.y_test))


def _steps(
    work: Work, rule: Optimizer, dtype: str, rates: Curve, loss: Loss
) -> Iterator[tuple[MLP, Callable[[], float], Callable[[], float]]]:
    """For each rate the model as it is, what looks up the loss of the next step, and what takes it, with its loss."""
    model = MLP(work.case.widths, weight_init="zeros", dtype=dtype)  # the weights are those of the work
    model.flat[...] = work.parameters
    samples = Samples(work.X, loss.prepare(work.y, model.n_outputs, model.dtype))
    state = State(model.flat, model.buffer_vector, np.zeros((len(rule.slots), model.n_parameters), model.dtype))
    program, backend = lower(model, loss, rule), get_backend("numpy")
    for i, rows in enumerate(work.batches(len(rates))):
        records, plan = Records(np.empty(1), np.empty(1)), Plan(rows, len(rows), rates[i : i + 1], 0)

        def look(rows: IntArray = rows) -> float:
            return float(loss.value(model.logits(work.X[rows], backend="numpy"), samples.targets[rows]))

        def take(plan: Plan = plan, records: Records = records) -> float:
            backend.train(program, state, samples, plan, records, lambda: False)
            return float(records.losses[0])

        yield model, look, take


def _gaps(losses: Curve, exact: Curve) -> Curve:
    exact = exact[: len(losses)]
    return np.abs(losses - exact) / np.abs(exact)
