"""What holds for every loss that is a mean over samples."""

import re

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.losses import Loss, ScalarLoss
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.derivative import adjoint, derivative, hessian_symmetry
from mlp_scratch.testing.failure import PropertyError
from mlp_scratch.testing.function import Arrays, AtKink, Function, Pullback
from mlp_scratch.testing.loss_point import LossPoint
from mlp_scratch.testing.point import Point

EXTREME = 1e4
"""A logit that overflows in every formula that takes its exponential."""


def shapes(point: LossPoint) -> None:
    """The value is one number and the gradient has the shape of z; looked at before any other property."""
    for claim, actual, expected in (
        ("the value of a batch is one number", np.shape(point.value()), ()),
        ("a gradient has the shape of what it is the gradient of", np.shape(point.gradient()), point.z.shape),
    ):
        if actual != expected:
            raise point.error("shapes", claim, {"its shape": actual, "expected": expected})


def purity(point: LossPoint) -> None:
    """Neither value nor gradient writes to z, to the targets or to the weights."""
    claim = "neither value nor gradient writes to what it is given"
    for asked in ("value", "gradient"):
        method = getattr(point.loss, asked)
        given, protected = point.arguments(), point.arguments()
        method(*given)
        for name, now, before in zip(("z", "t", "weights"), given, point.arguments(), strict=False):
            if not np.array_equal(now, before):
                raise point.error("purity", claim, {"written by": asked, "changed": name})
        for array in protected:
            if array is not None:
                array.flags.writeable = False
        try:
            method(*protected)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise point.error("purity", claim, {"written by": asked, "error": error}) from error


def gradient_is_derivative(point: LossPoint) -> None:
    """The gradient is that of the value: element by element, along a random direction, with a symmetric Hessian."""
    try:
        at = Point(_as_function(point), point.z, point.counts)
        for prop in (derivative, adjoint, hessian_symmetry):
            prop(at)
    except PropertyError as error:
        raise _of_loss(point, error, error.claim) from None
    for name, unknown in point.counts.unknown.items():
        if unknown is not None and unknown.property != "gradient_is_derivative":
            claim = "gradient can be told from a wrong one: give a z at which value is finite, smooth and not too steep"
            point.counts.unknown[name] = _of_loss(point, unknown, claim)


def mean_over_samples(point: LossPoint) -> None:
    """Every sample twice: the same value, and each gradient half. Says what is divided by: N, and nothing else."""
    w = None if point.weights is None else np.concatenate([point.weights, point.weights])
    twice = point.at(z=np.concatenate([point.z, point.z]), t=np.concatenate([point.t, point.t]), weights=w)
    value, gradient = point.value(), point.gradient()
    claim = "the loss is a mean over the samples: every sample twice changes nothing"
    labels = ("each sample twice", "each sample once")
    point.compare("mean_over_samples", claim, twice.value(), value, point.allowed(value), labels)
    grads = 2 * twice.gradient()[: len(point.z)]
    point.compare("mean_over_samples", claim, grads, gradient, point.allowed(gradient), labels)


def additivity(point: LossPoint) -> None:
    """The batch is the weighted mean of its samples: Σ w ℓ_n / Σ w, and so is the gradient of a sum of losses."""
    n = len(point.z)
    w = np.ones(n) if point.weights is None else point.weights
    if not w.sum() > 0:
        return
    samples = [point.at(z=point.z[i : i + 1], t=point.t[i : i + 1], weights=None) for i in range(n)]
    each = [np.asarray(sample.value()) for sample in samples]
    grads = [sample.gradient() for sample in samples]
    shares = w / w.sum()
    claim = "the loss of a batch is the weighted mean of its samples' losses"
    labels = ("batch", "mean of its samples")
    expected = np.asarray(sum(s * v for s, v in zip(shares, each, strict=True)))
    point.compare("additivity", claim, point.value(), expected, point.allowed(*each), labels)
    expected = shares[:, np.newaxis] * np.concatenate(grads)
    point.compare("additivity", claim, point.gradient(), expected, point.allowed(*grads), labels)


def unweighted(point: LossPoint) -> None:
    """Weights that are all 1, or all 3, are no weights; of a loss that takes none nothing is asked."""
    if not point.takes_weights:
        return
    plain = point.at(weights=None)
    claim = "equal weights are no weights"
    for size in (1.0, 3.0):
        equal = point.at(weights=np.full(len(point.z), size))
        labels = (f"all weights {size}", "without weights")
        value, gradient = equal.value(), equal.gradient()
        point.compare("unweighted", claim, value, plain.value(), point.allowed(value), labels)
        point.compare("unweighted", claim, gradient, plain.gradient(), point.allowed(gradient), labels)


def shift_invariance(point: LossPoint) -> None:
    """Softmax: the same number added to all logits of a sample changes nothing, so each row of dz sums to 0."""
    if not point.is_shift_invariant():
        return
    gradient = point.gradient()
    moved = point.at(z=point.z + np.linspace(-50.0, 50.0, len(point.z))[:, np.newaxis])
    claim = "adding a number to all logits of a sample changes nothing"
    allowed, labels = point.allowed(moved.z), ("shifted", "as given")
    point.compare("shift_invariance", claim, moved.value(), point.value(), allowed, labels)
    point.compare("shift_invariance", claim, moved.gradient(), gradient, allowed, labels)
    sums = gradient.sum(axis=1)
    point.compare("shift_invariance", claim, sums, np.zeros_like(sums), allowed, ("row of dz sums to", "expected"))


def finite_at_extremes(point: LossPoint) -> None:
    """Logits of ±1e4: value and gradient stay finite, whatever the targets, unless they grow beyond all numbers."""
    extreme = point.at(z=EXTREME * np.where(point.z < 0, -1.0, 1.0))
    claim = "logits of ±1e4 give finite numbers"
    with np.errstate(all="ignore"):  # what is not finite is said below
        for what, ask in (("value", extreme.value), ("gradient", extreme.gradient)):
            try:
                finite = bool(np.isfinite(ask()).all())
            except (ArithmeticError, ArgumentError) as error:  # functions of math raise where NumPy's overflow
                raise point.error("finite_at_extremes", claim, {"raised by": what, "error": error}) from error
            if not finite and not _grows_beyond(extreme):
                raise point.error("finite_at_extremes", claim, {"not finite": what})


def dtype(point: LossPoint) -> None:
    """Value and gradient have the dtype in which the logits are given: float32 in, float32 out.

    And they are float64's numbers to half of float32's digits. A float of Python spreads no precision, so a value may
    be one.
    """
    claim, labels = f"{point.dtype} gives float64's numbers, but for its rounding", (str(point.dtype), "float64")
    for what, ask in (("value", LossPoint.value), ("gradient", LossPoint.gradient)):
        with np.errstate(all="ignore"):  # what is beyond float32 is infinite there
            narrow = point.in_dtype()
            result, double = ask(narrow), np.asarray(ask(narrow.in_double()))
        if type(result) is not float and np.asarray(result).dtype != point.dtype:
            facts: dict[str, object] = {"of": what, "its dtype": np.asarray(result).dtype, "expected": point.dtype}
            raise point.error("dtype", "value and gradient have the dtype of the logits", facts)
        fits = np.abs(double) < np.finfo(point.dtype).max / point.z.size  # so does the sum that a mean is made of
        if fits.all():
            allowed = tolerances.half_the_digits(tolerances.largest(double), point.dtype)
            allowed += narrow.allowed(double, dtype=point.dtype)
            point.compare("dtype", claim, np.asarray(result, np.float64), double, allowed, labels)


def _grows_beyond(extreme: LossPoint) -> bool:
    """Whether an infinity at extreme logits is right: nearer to 0 the loss is finite and huge, as eᶻ is.

    A formula that overflows on the way to an ordinary number is finite and ordinary there.
    """
    z = extreme.z
    while tolerances.largest(z) > 1:
        z = z / 2
        value, gradient = np.asarray(extreme.at(z=z).value()), np.asarray(extreme.at(z=z).gradient())
        if np.isfinite(value).all() and np.isfinite(gradient).all():
            return tolerances.largest(value, gradient) > np.sqrt(np.finfo(np.float64).max)
    return False


def _of_loss(point: LossPoint, error: PropertyError, claim: str) -> PropertyError:
    """What was found of the loss as a function of z alone."""
    facts = {label: fact for label, fact in error.facts.items() if label not in ("layer", "x")}
    if "of" in facts:  # x[0, 0], say
        facts["of"] = re.sub(r"^x\b", "z", str(facts["of"]))
    return point.error("gradient_is_derivative", claim, facts)


def _as_function(point: LossPoint) -> Function:
    loss = point.loss

    def vjp(inputs: Arrays) -> tuple[Array, Pullback]:
        there = point.at(z=inputs["x"])
        return np.asarray(there.value()), lambda dy: {"x": dy * there.gradient()}

    def pieces(inputs: Arrays) -> list[Array]:
        assert isinstance(loss, Loss)
        piece = loss.pieces(inputs["x"], point.t)
        return [] if piece is None else [piece]

    # Functions of a user's own may have kinks that they don't declare.
    theirs = isinstance(loss, ScalarLoss) or not isinstance(loss, Loss)
    declared = isinstance(loss, Loss) and not (isinstance(loss, ScalarLoss) and loss.piece is None)
    rule: AtKink = "any" if theirs else "mean"
    return Function(type(loss).__name__, vjp, pieces=pieces if declared else None, at_kink=rule)
