"""Backward is linear in dy: whatever the layer, Jᵀ(a u + b w) = a Jᵀu + b Jᵀw."""

import numpy as np

from mlp_scratch.testing import tolerances
from mlp_scratch.testing.point import Point


def linearity(point: Point) -> None:
    """backward(a u + b w) = a backward(u) + b backward(w)."""
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
