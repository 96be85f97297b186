"""The gradient check: whether what `backward` returns is the derivative of what `forward` computes."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.backends import Samples, State, get_backend
from mlp_scratch.backends.numpy import forward
from mlp_scratch.derivatives import EPS, ROUNDINGS, Derivative, Line, central_difference, complex_step
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, unknown_name
from mlp_scratch.losses import LOSSES, Loss, default_loss
from mlp_scratch.model import Model
from mlp_scratch.optimizers import SGD
from mlp_scratch.program import Program, lower
from mlp_scratch.roundings import sizes_before_cancelling
from mlp_scratch.samples import prepare
from mlp_scratch.sequential import Sequential
from mlp_scratch.standard_json import standard

EVERY_PARAMETER_UP_TO = 2_000
"""Models of more parameters are checked along random directions instead of one parameter at a time."""

TOLERANCE = 1e-7
STEP = 1  # whose dropout masks are used: analytic and numeric derivative must see the same


@dataclass(frozen=True)
class Entry:
    """One derivative, both ways.

    Attributes:
        parameter: its name.
        index: the element, or None for a random direction through the whole parameter.
        analytic: from the backward pass.
        numeric: from the forward pass; at a kink, the one-sided slope nearer to `analytic`.
        error: their distance relative to the larger of the two, or to the smallest derivative that the check
            resolves to its tolerance where both are smaller.
        at_kink: whether it lies on a kink, where any slope between the one-sided ones is right.
        resolved: whether an error as large as the tolerance would have been seen.
    """

    parameter: str
    index: tuple[int, ...] | None
    analytic: float
    numeric: float
    error: float
    at_kink: bool
    resolved: bool

    def __str__(self) -> str:
        where = "along a random direction" if self.index is None else str(list(self.index))
        return (
            f"{self.parameter} {where}: backward says {self.analytic:.12g}, forward says {self.numeric:.12g}, "
            f"relative error {self.error:.1e}"
        )


@dataclass(frozen=True)
class Report:
    """The outcome of a gradient check.

    Attributes:
        entries: every derivative that was checked.
        tolerance: the largest relative error that passes.
        method: "complex" or "central".
        backend: whose backward pass was checked.
        loss: the value of the loss.
    """

    entries: tuple[Entry, ...]
    tolerance: float
    method: str
    backend: str
    loss: float

    @property
    def passed(self) -> bool:
        """Whether every derivative is right, and at least one was large enough to tell."""
        return self.max_error <= self.tolerance and self.resolves

    @property
    def resolves(self) -> bool:
        """Whether any derivative is large enough to tell a right one from a wrong one."""
        return any(entry.resolved or entry.at_kink for entry in self.entries)

    @property
    def max_error(self) -> float:
        """The largest relative error; infinite where a derivative is not a number."""
        return self.worst_entry.error

    @property
    def worst(self) -> str:
        """The name of the parameter with the largest error."""
        return self.worst_entry.parameter

    @property
    def worst_entry(self) -> Entry:
        """The derivative with the largest error."""
        return max(self.entries, key=lambda entry: entry.error)

    def to_json(self) -> str:
        """The report as JSON, in full precision; infinities and NaN become the texts "Infinity" and "NaN"."""
        summary = {
            "passed": self.passed,
            "max_error": self.max_error,
            "worst": self.worst,
            "tolerance": self.tolerance,
            "method": self.method,
            "backend": self.backend,
            "loss": self.loss,
            "checked": len(self.entries),
        }
        record = summary | {"entries": [asdict(entry) for entry in self.entries]}
        return json.dumps(standard(record), allow_nan=False)

    def __str__(self) -> str:
        names = list(dict.fromkeys(entry.parameter for entry in self.entries))
        lines = [f"{'parameter':<14} {'checked':>7} {'kinks':>5} {'unresolved':>10} {'max error':>9}"]
        for name in names:
            own = [entry for entry in self.entries if entry.parameter == name]
            kinks = sum(entry.at_kink for entry in own)
            unresolved = sum(not (entry.resolved or entry.at_kink) for entry in own)
            error = max(entry.error for entry in own)
            lines.append(f"{name:<14} {len(own):>7} {kinks:>5} {unresolved:>10} {error:>9.1e}")
        verdict = "passed" if self.passed else "FAILED"
        lines.append(f"{verdict} at {self.tolerance:g} by {self.method} differentiation; worst: {self.worst_entry}")
        if self.max_error <= self.tolerance and not self.resolves:
            lines.append(
                "nothing differs, but no derivative is large enough to tell: check more samples, or a model whose "
                "parameters are not all zero"
            )
        return "\n".join(lines)


def gradcheck(
    model: Model,
    X: object,
    y: object,
    *,
    loss: Loss | str | None = None,
    sample_weight: object = None,
    backend: str = "numpy",
    method: Literal["auto", "complex", "central"] = "auto",
    tolerance: float = TOLERANCE,
    directions: int = 3,
    seed: int = 0,
) -> Report:
    """Hold a backend's gradient against derivatives of the NumPy forward pass, in float64, at the model's parameters.

    The whole training-mode step is checked: dropout with the masks of one step, batch normalisation with the
    batch's statistics. A model of up to 2,000 parameters is checked one parameter at a time, a larger one along
    `directions` random directions through each of its parameters.

    Args:
        model: any model; it is not changed, and a float32 model is checked in float64.
        X: one batch, (N, D), as for `fit`.
        y: its targets.
        loss: a loss or its name; None takes the last fit's, at first cross-entropy, or for one output MSE.
        sample_weight: how much each sample counts, (N,).
        backend: whose backward pass to check.
        method: "complex", the complex step, exact but only for layers and losses that say they are `analytic`;
            "central", central differences with step control, which know a kink when they meet one; "auto", the first
            where all say so.
        tolerance: the largest relative error that passes.
        directions: random directions a parameter, for large models.
        seed: of directions and dropout masks.

    Raises:
        ArgumentError: for no model, for data that don't fit, and for method "complex" on a chain that is not analytic.

    >>> from mlp_scratch.mlp import MLP
    >>> report = gradcheck(MLP([3, 5, 2], activation="tanh"), np.eye(3), [0, 1, 1])
    >>> report.passed, report.method, len(report.entries)
    (True, 'complex', 32)
    """
    if not isinstance(model, Model):
        raise ArgumentTypeError("model", given=checks.describe(model), expected="a model, MLP or Sequential")
    usual = model.task if isinstance(model, Sequential) else default_loss(model.n_outputs)
    chosen = usual if loss is None else checks.named("loss", loss, LOSSES, Loss)
    checks.real("tolerance", tolerance, above=0.0)
    checks.integer("directions", directions, at_least=1)
    checks.integer("seed", seed, at_least=0)
    double = Model(model.layers, dtype="float64")
    double.flat[...], double.buffer_vector[...] = model.flat, model.buffer_vector
    program = lower(double, chosen, SGD())
    samples = prepare(double, chosen, X, y, sample_weight)
    differentiate = complex_step if _method(method, program) == "complex" else central_difference
    state = State(double.flat, double.buffer_vector, np.empty((0, double.n_parameters)))
    runner = get_backend(backend, program)
    entries = []
    # What is not finite makes an infinite error below; NumPy's warnings would only say it less clearly.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        value, gradient = runner.loss_and_gradient(program, state, samples, seed=seed, step=STEP, training=True)
        sizes = sizes_before_cancelling(double, chosen, samples, seed=seed, step=STEP)
        for parameter, index, direction in _directions(double, directions, seed):
            numeric = differentiate(_line(program, state, samples, direction, seed))
            least = ROUNDINGS * EPS * sizes[parameter]
            numeric = numeric._replace(uncertainty=max(numeric.uncertainty, least))
            own = direction != 0  # not 0 · NaN: what is not finite elsewhere is another parameter's error
            analytic = float(gradient[own] @ direction[own])
            entries.append(_entry(parameter, index, analytic, numeric, tolerance))
    return Report(tuple(entries), tolerance, _method(method, program), runner.name, value)


def _method(method: str, program: Program) -> str:
    kinked = [op.layer.kind for op in program.operations if not op.layer.analytic]
    kinked += [] if program.loss.analytic else [program.loss.kind]
    if method not in ("auto", "complex", "central"):
        raise unknown_name("method", method, ["auto", "complex", "central"])
    if method == "complex" and kinked:
        raise ArgumentError(
            "method",
            given=f"'complex' for a chain with {kinked[0]}",
            expected="only analytic layers and losses",
            mend="use method='central'",
        )
    return "complex" if method != "central" and not kinked else "central"


def _directions(model: Model, n: int, seed: int) -> Iterator[tuple[str, tuple[int, ...] | None, Array]]:
    """Unit vectors to differentiate along, (P,), each with the name of the parameter it moves, and which element."""
    rng = np.random.default_rng(seed)
    for name, view in model.parameters.items():
        alone = np.zeros(model.n_parameters)
        own = model.named(alone)[name]  # a view: writing to it fills the part of `alone` that is this parameter's
        if model.n_parameters <= EVERY_PARAMETER_UP_TO:
            for index in np.ndindex(view.shape):
                own[...] = 0
                own[index] = 1
                yield name, index, alone
        else:
            for _ in range(n):
                own[...] = rng.choice([-1.0, 1.0], view.shape) / np.sqrt(view.size)
                yield name, None, alone


def _line(program: Program, state: State, samples: Samples, direction: Array, seed: int) -> Line:
    """φ(t): the loss at flat + t · direction, with the pieces of every layer and of the loss."""
    X = samples.X.astype(np.float64)

    def line(t: complex) -> tuple[complex, float, list[Array]]:
        moved = State(state.flat + t * direction, state.buffers, state.slots)
        z, _, outputs = forward(program, moved, X, training=True, seed=seed, step=STEP)
        value = complex(program.loss.value(z, samples.targets, samples.weights))
        pieces = [program.loss.pieces(z, samples.targets)]
        for op, x in zip(program.operations, [X, *outputs[:-1]], strict=True):
            parameters = {field.name: field.view(moved.flat) for field in op.parameters}
            pieces.append(op.layer.pieces(parameters, x))
        scale = max(abs(value.real), float(np.abs(z).max()))
        return value, scale, [piece for piece in pieces if piece is not None]

    return line


def _entry(
    parameter: str, index: tuple[int, ...] | None, analytic: float, numeric: Derivative, tolerance: float
) -> Entry:
    # A difference that rounding alone could make is no error: below this size nothing is resolved to `tolerance`.
    resolvable = numeric.uncertainty / tolerance
    nearer = min(max(analytic, numeric.low), numeric.high)
    size = max(abs(analytic), abs(nearer))
    distance = numeric.distance(analytic)
    error = distance / max(size, resolvable) if 0 < distance < float("inf") else distance
    resolved = bool(size > resolvable) and not numeric.at_kink
    return Entry(parameter, index, analytic, nearer, error, numeric.at_kink, resolved)
