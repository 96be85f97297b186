"""What a batch is: samples beside each other. Cutting or reordering it changes nothing but the order."""

import numpy as np

from mlp_scratch.testing import tolerances
from mlp_scratch.testing.point import Point
from mlp_scratch.testing.roundings import scale_of_y


def batch_additivity(point: Point) -> None:
    """A batch in two parts: outputs and dx are the parts' own, gradients of parameters add up.

    Only for layers whose samples are independent.
    """
    n = len(point.inputs["x"])
    if point.function.batch != "independent" or n < 2 or np.shape(point.y)[:1] != (n,):
        return
    cut = n // 2
    parts = []
    for rows in (slice(0, cut), slice(cut, n)):
        y, pullback = point.function.vjp({**point.copy(), "x": point.inputs["x"][rows].copy()})
        parts.append((y, pullback(point.u[rows].copy())))
    claim = "the samples of a batch are independent: a batch is the sum of its parts"
    labels = ("whole batch", "in two parts")
    y = np.concatenate([part for part, _ in parts])
    point.compare("batch_additivity", claim, "y", np.asarray(point.y), y, _allowed(point, scale_of_y(point)), labels)
    for name, gradient in point.grads.items():
        grads = [part[name] for _, part in parts]
        expected = np.concatenate(grads) if name == "x" else grads[0] + grads[1]
        magnitude = max(point.scales[name], *(tolerances.largest(g) for g in grads))
        point.compare(
            "batch_additivity", claim, f"the gradient of {name}", gradient, expected, _allowed(point, magnitude), labels
        )


def batch_permutation(point: Point) -> None:
    """The batch in another order: y and dx in that order, gradients of parameters the same."""
    n = len(point.inputs["x"])
    if point.function.batch == "positional" or n < 2 or np.shape(point.y)[:1] != (n,):
        return
    order = np.roll(np.arange(n), 1)
    y, pullback = point.function.vjp({**point.copy(), "x": point.inputs["x"][order].copy()})
    grads = pullback(point.u[order].copy())
    claim = "the order of a batch doesn't matter"
    labels = ("in another order", "in the given order")
    allowed = _allowed(point, scale_of_y(point))
    point.compare("batch_permutation", claim, "y", np.asarray(y), np.asarray(point.y)[order], allowed, labels)
    for name, gradient in point.grads.items():
        expected = gradient[order] if name == "x" else gradient
        allowed = _allowed(point, point.scales[name])
        point.compare("batch_permutation", claim, f"the gradient of {name}", grads[name], expected, allowed, labels)


def _allowed(point: Point, magnitude: float) -> float:
    return tolerances.rounding(point.u.size, magnitude, np.float64)
