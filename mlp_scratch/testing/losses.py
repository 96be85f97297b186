"""`check_loss`: every property of a loss, from its logits z, its targets t and its sample weights."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.losses import Loss
from mlp_scratch.testing.derivative import something_known
from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.layers import selected
from mlp_scratch.testing.loss_point import HasGradient, LossPoint, Optimum, takes_weights
from mlp_scratch.testing.loss_properties import (
    additivity,
    dtype,
    finite_at_extremes,
    gradient_is_derivative,
    mean_over_samples,
    purity,
    shapes,
    shift_invariance,
    unweighted,
)
from mlp_scratch.testing.optimum import zero_at_optimum
from mlp_scratch.testing.point import Counts

PROPERTIES: dict[str, Callable[[LossPoint], None]] = {
    "purity": purity,
    "gradient_is_derivative": gradient_is_derivative,
    "mean_over_samples": mean_over_samples,
    "additivity": additivity,
    "unweighted": unweighted,
    "shift_invariance": shift_invariance,
    "zero_at_optimum": zero_at_optimum,
    "finite_at_extremes": finite_at_extremes,
    "dtype": dtype,
}
"""The properties of a loss by name."""


def check_loss(
    loss: HasGradient,
    z: Any,
    t: object = None,
    *,
    weights: object = None,
    shift_invariant: bool | None = None,
    optimum: Optimum | None = None,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
) -> Counts:
    """Hold a loss to every property that a correct one has.

    Args:
        loss: an object with `value(z, t, weights)` and `gradient(z, t, weights)`, or without weights in both.
        z: logits, (N, K), in the dtype that value and gradient are to have; or a strategy that draws triples
            (z, t, weights), and then `t` and `weights` are left out.
        t: targets, as the loss takes them.
        weights: of the samples, (N,), or None.
        shift_invariant: whether a shift of all logits of a sample changes nothing; None: for this package's
            cross-entropy only.
        optimum: a function from targets to the logits at which the loss is smallest, `lambda t: t` for a regression;
            None: known for this package's losses only, and not looked at for others.
        only: names of the properties to check; None checks all of `PROPERTIES`.
        skip: names of properties to leave out.

    Raises:
        PropertyError: for a property that does not hold.
        ArgumentError: for what is no loss, and for logits, targets and weights that don't fit each other.

    >>> from mlp_scratch.losses import Huber
    >>> check_loss(Huber(), np.array([[0.5, -3.0]]), np.array([[0.0, 1.0]])).derivatives
    3
    """
    checks.having("loss", loss, ("value", "gradient"))
    names = selected(PROPERTIES, only, skip)
    counts = Counts()

    def check(drawn: tuple[object, object, object]) -> None:
        point = _point(loss, *drawn, shift_invariant, optimum, counts)
        shapes(point)
        for name in names:
            PROPERTIES[name](point)

    at_each(z if hasattr(z, "example") else (z, t, weights), check, names)
    something_known(counts)
    return counts


def _point(
    loss: HasGradient,
    z: object,
    t: object,
    weights: object,
    shift_invariant: bool | None,
    optimum: Optimum | None,
    counts: Counts,
) -> LossPoint:
    logits = checks.numeric("z", z)
    if logits.ndim != 2:
        mend = "for one output a sample, z[:, np.newaxis]" if logits.ndim == 1 else ""
        raise ArgumentError("z", given=f"shape {logits.shape}", expected="logits of shape (N, K)", mend=mend)
    if not logits.size:
        raise ArgumentError("z", given=f"shape {logits.shape}", expected="at least one sample and one logit")
    kind = logits.dtype if logits.dtype.kind == "f" else np.dtype(np.float64)
    checks.finite("z", logits, kind)
    if t is None:
        expected = "the targets of z, as the loss takes them"
        raise ArgumentTypeError("t", given=checks.describe(t), expected=expected, mend="check_loss(loss, z, t)")
    at = logits.astype(np.float64)
    targets: Array = loss.prepare(t, at.shape[1], at.dtype) if isinstance(loss, Loss) else np.array(t)
    if targets.shape[:1] != (len(at),):
        raise ArgumentError("t", given=f"shape {targets.shape}", expected=f"targets of {len(at)} samples, as z has")
    if targets.dtype.kind == "f":
        checks.finite("t", targets, targets.dtype)
    weighted = takes_weights(loss)
    own = _sample_weights(weights, len(at), weighted)
    return LossPoint(loss, at, targets, own, weighted, kind, shift_invariant, optimum, counts)


def _sample_weights(weights: object, n: int, weighted: bool) -> Array | None:
    if weights is None:
        return None
    if not weighted:
        raise ArgumentError(
            "weights",
            given="weights for a loss that takes none",
            expected="None, or a loss with value(z, t, weights) and gradient(z, t, weights)",
        )
    own = checks.numeric("weights", weights).astype(np.float64)
    if own.shape != (n,):
        raise ArgumentError("weights", given=f"shape {own.shape}", expected=f"one weight a sample, shape ({n},)")
    checks.finite("weights", own, own.dtype)
    if own.min() < 0:
        given = f"{own.min()} at position {int(own.argmin())}"
        raise ArgumentError("weights", given=given, expected="weights that are not negative")
    return own
