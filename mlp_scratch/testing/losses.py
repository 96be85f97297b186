"""`check_loss`: every property of a loss, from its logits z, its targets t and its sample weights."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.losses import BinaryCrossEntropy, CrossEntropy, Loss
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.derivative import adjoint, derivative, hessian_symmetry
from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.failure import PropertyError, literal
from mlp_scratch.testing.function import Arrays, Function, Pullback
from mlp_scratch.testing.layers import selected
from mlp_scratch.testing.point import Counts, Point
from mlp_scratch.testing.purity import purity


class HasGradient(Protocol):
    """What a loss needs: a mean over the samples, and its gradient with respect to z."""

    def value(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        """The loss of a batch of logits z (N, K) with targets t and sample weights (N,): one number."""

    def gradient(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        """dz, (N, K)."""


@dataclass(frozen=True)
class LossPoint:
    """A loss at one batch.

    Attributes:
        loss: what is checked.
        z: logits, (N, K) float64.
        t: targets, as the loss takes them.
        weights: (N,) or None.
        shift_invariant: whether adding a number to a row of z changes nothing, as for a softmax.
        counts: of derivatives.
    """

    loss: HasGradient
    z: Array
    t: Array
    weights: Array | None
    shift_invariant: bool
    counts: Counts

    def error(self, name: str, claim: str, facts: dict[str, object]) -> PropertyError:
        """The error for a violated property of this loss."""
        source = type(self.loss).__name__
        made = (
            f"from mlp_scratch.losses import {source}\nloss = {self.loss!r}"
            if isinstance(self.loss, Loss)
            else "loss = ..."
        )
        weights = "" if self.weights is None else f", weights={literal(self.weights)}"
        code = (
            f"import numpy as np\nfrom mlp_scratch.testing import check_loss\n{made}\n"
            f"check_loss(loss, {literal(self.z)}, {literal(self.t)}{weights}, only=[{name!r}])"
        )
        return PropertyError(
            name, claim, {"loss": source, **facts, "z": self.z, "t": self.t, "weights": self.weights}, code
        )

    def compare(
        self, name: str, claim: str, actual: Array, expected: Array, allowed: float, labels: tuple[str, str]
    ) -> None:
        """Raise unless the arrays agree."""
        where = tolerances.worst(np.asarray(actual), np.asarray(expected), allowed)
        if where is not None:
            a, b = float(np.asarray(actual)[where]), float(np.broadcast_to(expected, np.shape(actual))[where])
            place = "the value" if where == () else f"dz[{', '.join(map(str, where))}]"
            raise self.error(
                name, claim, {"of": place, labels[0]: a, labels[1]: b, "off by": abs(a - b), "allowed": allowed}
            )

    def allowed(self, *arrays: Array) -> float:
        """Rounding of what is computed from these logits."""
        size = tolerances.largest(self.z, self.t, *(np.asarray(a) for a in arrays)) + 1
        return tolerances.rounding(self.z.size, size, np.float64)


def gradient_is_derivative(point: LossPoint) -> None:
    """The gradient is that of the value: element by element, along a random direction, with a symmetric Hessian."""
    function = _as_function(point)
    at = Point(function, point.z, point.counts)
    for prop in (purity, derivative, adjoint, hessian_symmetry):
        try:
            prop(at)
        except PropertyError as error:
            facts = {label: fact for label, fact in error.facts.items() if label not in ("layer", "x")}
            raise point.error("gradient_is_derivative", error.claim, facts) from None


def mean_over_samples(point: LossPoint) -> None:
    """Every sample twice: the same value, and each gradient half. Says what is divided by: N, and nothing else."""
    z, t = np.concatenate([point.z, point.z]), np.concatenate([point.t, point.t])
    w = None if point.weights is None else np.concatenate([point.weights, point.weights])
    value, gradient = (
        point.loss.value(point.z, point.t, point.weights),
        point.loss.gradient(point.z, point.t, point.weights),
    )
    claim = "the loss is a mean over the samples: every sample twice changes nothing"
    labels = ("each sample twice", "each sample once")
    twice = point.loss.value(z, t, w)
    point.compare("mean_over_samples", claim, np.asarray(twice), np.asarray(value), point.allowed(value), labels)
    grads = 2 * point.loss.gradient(z, t, w)[: len(point.z)]
    point.compare("mean_over_samples", claim, grads, gradient, point.allowed(gradient), labels)


def additivity(point: LossPoint) -> None:
    """The batch is the weighted mean of its samples: Σ w ℓ_n / Σ w, and so is the gradient of a sum of losses."""
    n = len(point.z)
    w = np.ones(n) if point.weights is None else point.weights
    if not w.sum() > 0:
        return
    rows = [slice(i, i + 1) for i in range(n)]
    each = [np.asarray(point.loss.value(point.z[row], point.t[row])) for row in rows]
    grads = [point.loss.gradient(point.z[row], point.t[row]) for row in rows]
    shares = w / w.sum()
    value, gradient = (
        point.loss.value(point.z, point.t, point.weights),
        point.loss.gradient(point.z, point.t, point.weights),
    )
    claim = "the loss of a batch is the weighted mean of its samples' losses"
    labels = ("batch", "mean of its samples")
    expected = np.asarray(sum(s * v for s, v in zip(shares, each, strict=True)))
    point.compare("additivity", claim, np.asarray(value), expected, point.allowed(*each), labels)
    expected = shares[:, np.newaxis] * np.concatenate(grads)
    point.compare("additivity", claim, gradient, expected, point.allowed(*grads), labels)


def shift_invariance(point: LossPoint) -> None:
    """Softmax: the same number added to all logits of a sample changes nothing, so each row of dz sums to 0."""
    if not point.shift_invariant:
        return
    value, gradient = (
        point.loss.value(point.z, point.t, point.weights),
        point.loss.gradient(point.z, point.t, point.weights),
    )
    shift = np.linspace(-50.0, 50.0, len(point.z))[:, np.newaxis]
    moved = point.z + shift
    claim = "adding a number to all logits of a sample changes nothing"
    allowed = point.allowed(moved)
    labels = ("shifted", "as given")
    point.compare(
        "shift_invariance",
        claim,
        np.asarray(point.loss.value(moved, point.t, point.weights)),
        np.asarray(value),
        allowed,
        labels,
    )
    point.compare(
        "shift_invariance", claim, point.loss.gradient(moved, point.t, point.weights), gradient, allowed, labels
    )
    sums = gradient.sum(axis=1)
    point.compare("shift_invariance", claim, sums, np.zeros_like(sums), allowed, ("row of dz sums to", "expected"))


def zero_at_optimum(point: LossPoint) -> None:
    """Where the prediction is the target, the gradient is 0 and the value smallest; the optimum is known in advance."""
    best = optimum(point.loss, point.z, point.t)
    if best is None:
        return
    gradient = point.loss.gradient(best, point.t, point.weights)
    claim = "the gradient is 0 where the prediction is the target"
    allowed = tolerances.rounding(point.z.size, tolerances.largest(best) + 1, np.float64)
    point.compare("zero_at_optimum", claim, gradient, np.zeros_like(gradient), allowed, ("at the optimum", "expected"))
    low, here = point.loss.value(best, point.t, point.weights), point.loss.value(point.z, point.t, point.weights)
    if not float(low) <= float(here) + point.allowed(low, here):
        raise point.error(
            "zero_at_optimum", "no value is below the optimum's", {"optimum": float(low), "here": float(here)}
        )


def finite_at_extremes(point: LossPoint) -> None:
    """Logits of ±1e4: value and gradient stay finite, whatever the targets."""
    extreme = 1e4 * np.where(point.z < 0, -1.0, 1.0)
    for what, result in (
        ("value", point.loss.value(extreme, point.t, point.weights)),
        ("gradient", point.loss.gradient(extreme, point.t, point.weights)),
    ):
        if not np.isfinite(result).all():
            raise point.error("finite_at_extremes", "logits of ±1e4 give finite numbers", {"not finite": what})


def unweighted(point: LossPoint) -> None:
    """Weights that are all 1, or all 3, are no weights."""
    plain_value, plain_gradient = point.loss.value(point.z, point.t), point.loss.gradient(point.z, point.t)
    claim = "equal weights are no weights"
    for size in (1.0, 3.0):
        w = np.full(len(point.z), size)
        labels = (f"all weights {size}", "without weights")
        value, gradient = point.loss.value(point.z, point.t, w), point.loss.gradient(point.z, point.t, w)
        point.compare("unweighted", claim, np.asarray(value), np.asarray(plain_value), point.allowed(value), labels)
        point.compare("unweighted", claim, gradient, plain_gradient, point.allowed(gradient), labels)


PROPERTIES: dict[str, Callable[[LossPoint], None]] = {
    "gradient_is_derivative": gradient_is_derivative,
    "mean_over_samples": mean_over_samples,
    "additivity": additivity,
    "unweighted": unweighted,
    "shift_invariance": shift_invariance,
    "zero_at_optimum": zero_at_optimum,
    "finite_at_extremes": finite_at_extremes,
}
"""The properties of a loss by name."""


def check_loss(
    loss: HasGradient,
    z: Any,
    t: object = None,
    *,
    weights: object = None,
    shift_invariant: bool | None = None,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
) -> Counts:
    """Hold a loss to every property that a correct one has.

    Args:
        loss: an object with `value(z, t, weights)` and `gradient(z, t, weights)`.
        z: logits, (N, K); or a strategy that draws triples (z, t, weights), and then `t` and `weights` are left out.
        t: targets, as the loss takes them.
        weights: of the samples, (N,), or None.
        shift_invariant: whether a shift of all logits of a sample changes nothing; None: for this package's
            cross-entropy only.
        only: names of the properties to check; None checks all of `PROPERTIES`.
        skip: names of properties to leave out.

    Raises:
        PropertyError: for a property that does not hold.

    >>> from mlp_scratch.losses import Huber
    >>> check_loss(Huber(), np.array([[0.5, -3.0]]), np.array([[0.0, 1.0]])).derivatives
    3
    """
    checks.having("loss", loss, ("value", "gradient"))
    names = selected(PROPERTIES, only, skip)
    counts = Counts()
    invariant = isinstance(loss, CrossEntropy) if shift_invariant is None else shift_invariant

    def check(drawn: tuple[Array, Array, Array | None]) -> None:
        logits, y, w = drawn
        own = None if w is None else np.array(w, dtype=np.float64)
        at = np.array(logits, dtype=np.float64)
        t = loss.prepare(y, at.shape[1], at.dtype) if isinstance(loss, Loss) else np.array(y)
        point = LossPoint(loss, at, t, own, invariant, counts)
        for name in names:
            PROPERTIES[name](point)

    at_each(z if hasattr(z, "example") else (z, t, weights), check)
    return counts


def optimum(loss: HasGradient, z: Array, t: Array) -> Array | None:
    """Logits at which `loss` is smallest, (N, K), from its definition alone; None where there are none.

    For hard targets of a cross-entropy they lie at infinity.
    """
    if isinstance(loss, CrossEntropy):
        k = z.shape[1]
        p = np.eye(k)[t] if t.ndim == 1 else t
        p = (1 - loss.label_smoothing) * p + loss.label_smoothing / k
        return np.log(p) if p.min() > 1e-12 else None
    if isinstance(loss, BinaryCrossEntropy):
        return np.log(t / (1 - t)) if t.min() > 1e-12 and t.max() < 1 - 1e-12 else None
    return t.astype(np.float64) if np.shape(t) == np.shape(z) else None


def _as_function(point: LossPoint) -> Function:
    loss, t, w = point.loss, point.t, point.weights

    def vjp(inputs: Arrays) -> tuple[Array, Pullback]:
        z = inputs["x"]
        return np.asarray(loss.value(z, t, w)), lambda dy: {"x": dy * loss.gradient(z, t, w)}

    def pieces(inputs: Arrays) -> list[Array]:
        assert isinstance(loss, Loss)
        piece = loss.pieces(inputs["x"], t)
        return [] if piece is None else [piece]

    own = isinstance(loss, Loss)
    return Function(type(loss).__name__, vjp, pieces=pieces if own else None)
