"""Where several kinks meet behind a mixing layer, what backward may return is not bounded by slopes on a line.

In relu(x W + b) V at x = b = 0 backward chooses a side for each hidden unit. On a line through that point the units
change sides in two groups, and the slopes of two choices show, of the 2^H there are. Other choices show at points
beside it, each on other sides of the kinks. Where they do, the derivative is checked there, off the kinks, instead.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.derivatives import DOUBTS
from mlp_scratch.testing import slopes, tolerances
from mlp_scratch.testing.failure import PropertyError
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

ASIDE = 2.0**-12
"""How far points are moved to leave a kink by more than float32's roundings: by half of its digits."""


def beside(point: Point, direction: Arrays, here: Slopes, size: float) -> list[tuple[Point, Slopes]]:
    """Points beside one where kinks meet, and their slopes along `direction`; none where `here` bounds all."""
    rng = np.random.default_rng(CHECKED_SEED)
    points = [_moved(point, rng) for _ in range(MOVES)]
    found = [(at, slope_along(at, direction, size)) for at in points]
    return found if any(_outside(here, there) for _, there in found) else []


def off_kinks(check: Callable[[Point], None]) -> Callable[[Point], None]:
    """A property that compares two ways of computing a gradient, at a kink too.

    Where 0.6 a - 0.6 b + 0.3 is 0, roundings decide on which side of a ReLU's corner it lies, and each way may be right
    on a side of its own. Where the gradient jumps, the property has to hold at a point beside instead.
    """

    def checked(point: Point) -> None:
        try:
            check(point)
        except PropertyError as error:
            if not _of_a_gradient(error):
                raise
            others = _around(point)
            if not _jumps([point, *others]) or not any(_holds(check, other) for other in others):
                raise

    return checked


def _of_a_gradient(error: PropertyError) -> bool:
    of, off = error.facts.get("of"), error.facts.get("off by")
    return str(of).startswith("the gradient of ") and isinstance(off, float) and bool(np.isfinite(off))


def _holds(check: Callable[[Point], None], point: Point) -> bool:
    try:
        check(point)
    except PropertyError:
        return False
    return True


def _jumps(points: list[Point]) -> bool:
    """Whether a gradient is another at one of the points, by more than a curve makes of so short a way."""
    first, *others = points
    for name, gradient in first.grads.items():
        grads = [np.asarray(other.grads[name]) for other in others]
        change = tolerances.largest(*(other - gradient for other in grads))
        if change > 16 * ASIDE * tolerances.largest(np.asarray(gradient), *grads):
            return True
    return False


def _around(point: Point) -> list[Point]:
    """Points aside in pairs, on opposite sides: a kink between two planes is left to both."""
    rng, pairs = np.random.default_rng(CHECKED_SEED), list[Point]()
    for _ in range(MOVES // 2):
        way = {name: ASIDE * rng.uniform(-1.0, 1.0, value.shape) for name, value in point.inputs.items()}
        for sign in (1.0, -1.0):
            with suppress(PropertyError):  # it may be outside of where the function is defined
                pairs.append(_shifted(point, {name: sign * along for name, along in way.items()}))
    return pairs


def slope_along(point: Point, direction: Arrays, size: float = 1.0) -> Slopes:
    """The slopes of the elements of Σ u · y at a point, with the roundings of the numbers that y is made of."""
    return slopes.derivative(point.function, point.inputs, direction, point.u, size, sizes_of_y(point))


def _moved(point: Point, rng: np.random.Generator) -> Point:
    return _shifted(point, {name: BESIDE * rng.uniform(-1.0, 1.0, v.shape) for name, v in point.inputs.items()})


def _shifted(point: Point, way: dict[str, Array]) -> Point:
    """The point moved, each element in proportion to its size."""
    inputs = {name: value + way[name] * np.maximum(np.abs(value), 1.0) for name, value in point.inputs.items()}
    x = inputs.pop("x")
    return Point(replace(point.function, parameters=inputs), x, weights=point.weights)


def _outside(here: Slopes, there: Slopes) -> bool:
    """Whether a slope beside the point is none that its slopes at the point lie around."""
    beyond = np.maximum(here.low - there.low, there.high - here.high)
    doubt = DOUBTS * (here.uncertainty + there.uncertainty)
    return bool((beyond > JUMP * max(tolerances.largest(*here[:2]), tolerances.largest(*there[:2])) + doubt).any())
