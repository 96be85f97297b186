"""Backward is linear in dy: whatever the layer, Jᵀ(a u + b w) = a Jᵀu + b Jᵀw."""

import numpy as np

from mlp_scratch.testing import tolerances
from mlp_scratch.testing.point import Point

FACTORS = (2.0**20, 2.0**-20, 0.0)
"""What dy is multiplied by alone: large enough to be clipped, small enough to be dropped, and nothing at all."""

ORDINARY = 2.0**100
"""Beyond it and its inverse, numbers times a factor may overflow on the way in a backward that is right."""


def linearity(point: Point) -> None:
    """backward(a u + b w) = a backward(u) + b backward(w), and backward(a u) = a backward(u) for large and small a."""
    a, b, w = 0.75, -1.5, point.cotangent()
    mixed, other = point.pullback(a * point.u + b * w), point.pullback(w.copy())
    for name, gradient in point.grads.items():
        expected = a * gradient + b * other[name]
        magnitude = (abs(a) + abs(b)) * max(point.scales[name], tolerances.largest(other[name]))
        point.compare(
            "linearity",
            "backward is linear in dy: backward(a u + b w) = a backward(u) + b backward(w)",
            f"the gradient of {name}",
            mixed[name],
            expected,
            tolerances.rounding(point.u.size, magnitude, np.float64),
            ("backward(a u + b w)", "a backward(u) + b backward(w)"),
        )
    for factor in FACTORS if _ordinary(point) else ():
        _scaled(point, factor)


def _scaled(point: Point, factor: float) -> None:
    grads = point.pullback(factor * point.u)
    for name, gradient in point.grads.items():
        point.compare(
            "linearity",
            f"backward is linear in dy: backward(a u) = a backward(u) for a = {factor:g}",
            f"the gradient of {name}",
            grads[name],
            factor * gradient,
            tolerances.rounding(point.u.size, factor * point.scales[name], np.float64),
            ("backward(a u)", "a backward(u)"),
        )


def _ordinary(point: Point) -> bool:
    sizes = [np.abs(array) for array in point.inputs.values()]
    return tolerances.largest(*point.grads.values(), *sizes) < ORDINARY and all(
        bool(((size == 0) | (size > 1 / ORDINARY)).all()) for size in sizes
    )
