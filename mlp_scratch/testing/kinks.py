"""Where several kinks meet behind a mixing layer, what backward may return is not bounded by slopes on a line.

In relu(x W + b) V at x = b = 0 backward chooses a side for each hidden unit. On a line through that point the units
change sides in two groups, and the slopes of two choices show, of the 2^H there are. Other choices show at points
beside it, each on other sides of the kinks. Where they do, the derivative is checked there, off the kinks, instead.
"""

from dataclasses import replace

import numpy as np

from mlp_scratch.derivatives import DOUBTS
from mlp_scratch.testing import slopes, tolerances
from mlp_scratch.testing.function import Arrays
from mlp_scratch.testing.point import CHECKED_SEED, Point
from mlp_scratch.testing.roundings import sizes_of_y
from mlp_scratch.testing.slopes import Slopes

BESIDE = 2.0**-20
"""How far points are moved, relative to their size: off a kink, and hardly along a curve."""

MOVES = 8
"""Points beside one that are looked at."""

JUMP = 2.0**-10
"""The share of a slope by which it has to change beside a point for a kink to lie between; a curve of ordinary
curvature changes it by `BESIDE`."""


def beside(point: Point, direction: Arrays, here: Slopes, size: float) -> list[tuple[Point, Slopes]]:
    """Points beside one where kinks meet, and their slopes along `direction`; none where `here` bounds all."""
    rng = np.random.default_rng(CHECKED_SEED)
    points = [_moved(point, rng) for _ in range(MOVES)]
    found = [(at, slope_along(at, direction, size)) for at in points]
    return found if any(_outside(here, there) for _, there in found) else []


def slope_along(point: Point, direction: Arrays, size: float = 1.0) -> Slopes:
    """The slopes of the elements of Σ u · y at a point, with the roundings of the numbers that y is made of."""
    return slopes.derivative(point.function, point.inputs, direction, point.u, size, sizes_of_y(point))


def _moved(point: Point, rng: np.random.Generator) -> Point:
    inputs = {
        name: value + BESIDE * np.maximum(np.abs(value), 1.0) * rng.uniform(-1.0, 1.0, value.shape)
        for name, value in point.inputs.items()
    }
    x = inputs.pop("x")
    return Point(replace(point.function, parameters=inputs), x, weights=point.weights)


def _outside(here: Slopes, there: Slopes) -> bool:
    """Whether a slope beside the point is none that its slopes at the point lie around."""
    beyond = np.maximum(here.low - there.low, there.high - here.high)
    doubt = DOUBTS * (here.uncertainty + there.uncertainty)
    return bool((beyond > JUMP * max(tolerances.largest(*here[:2]), tolerances.largest(*there[:2])) + doubt).any())
