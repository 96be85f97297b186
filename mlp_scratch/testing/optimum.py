"""Where a loss is smallest, and whether its gradient says so."""

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.loss_point import HasGradient, LossPoint

STEP = 2.0**-20
"""Of one-sided differences at a kink, relative to 1."""


def zero_at_optimum(point: LossPoint) -> None:
    """Where the loss is smallest, the gradient is 0; the optimum is known in advance.

    On a kink of a user's own loss any slope between the one-sided ones will do.
    """
    best = known_optimum(point.loss, point.z, point.t) if point.optimum is None else _given(point)
    if best is None:
        return
    there = point.at(z=best)
    gradient, low, here = there.gradient(), there.value(), point.value()
    allowed = tolerances.rounding(point.z.size, tolerances.largest(best) + 1, np.float64)
    slopes = np.asarray(gradient)
    if point.optimum is not None:
        slopes = np.where(_within_kinks(there, slopes), 0.0, slopes)
    claim = "the gradient is 0 where the loss is smallest"
    point.compare("zero_at_optimum", claim, slopes, np.zeros_like(slopes), allowed, ("at the optimum", "expected"))
    if not float(low) <= float(here) + point.allowed(low, here):
        facts: dict[str, object] = {"optimum": float(low), "here": float(here)}
        raise point.error("zero_at_optimum", "no value is below the optimum's", facts)


def known_optimum(loss: HasGradient, z: Array, t: Array) -> Array | None:
    """Logits at which a loss of this package is smallest, (N, K), from its definition; None where that is not known.

    For hard targets of a cross-entropy they lie at infinity, and where a loss of a user's own is smallest (a quantile,
    a count's logarithm) only its author knows.
    """
    if isinstance(loss, CrossEntropy):
        k = z.shape[1]
        p = np.eye(k)[t] if t.ndim == 1 else t
        p = (1 - loss.label_smoothing) * p + loss.label_smoothing / k
        return np.log(p) if p.min() > 1e-12 else None
    if isinstance(loss, BinaryCrossEntropy):
        return np.log(t / (1 - t)) if t.min() > 1e-12 and t.max() < 1 - 1e-12 else None
    return t.astype(np.float64) if isinstance(loss, MSE | MAE | Huber) else None


def _given(point: LossPoint) -> Array:
    assert point.optimum is not None
    best = checks.numeric("optimum", point.optimum(point.t.copy())).astype(np.float64)
    if best.shape != point.z.shape:
        raise ArgumentError(
            "optimum",
            given=f"a function whose answer has shape {best.shape}",
            expected=f"one from the targets to logits of shape {point.z.shape}",
        )
    return best


def _within_kinks(there: LossPoint, gradient: Array) -> Array:
    """Which elements of the gradient, not 0, lie between slopes to the left and right that enclose 0."""
    value, within = float(there.value()), np.zeros(gradient.shape, dtype=bool)
    for index in zip(*np.nonzero(gradient), strict=True):
        step = np.zeros_like(there.z)
        step[index] = STEP * max(1.0, abs(float(there.z[index])))
        size, slope = float(step[index]), float(gradient[index])
        left = (value - float(there.at(z=there.z - step).value())) / size
        right = (float(there.at(z=there.z + step).value()) - value) / size
        slack = 1e-3 * abs(slope)
        within[index] = left - slack <= slope <= right + slack and left <= slack and right >= -slack
    return within
