"""What rounding costs, measured: the same passes in float32 and in float64, at the same inputs and at some nearby.

A result that nearly cancels doesn't tell how large the numbers were that it is made of. Its error in float32 does: in
roundings it is as large as that in float64, and there it shows.
"""

from functools import lru_cache

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.function import Arrays
from mlp_scratch.testing.narrow import in_single
from mlp_scratch.testing.point import Point

NEARBY = 4
"""Places to look at: at one alone, an error may be small by luck."""

SHIFT = 2.0**-20
"""How far these are apart, relatively: a few roundings of float32."""


def scale_of_y(point: Point) -> float:
    """How large the numbers are that y is made of, before they cancel; at least its largest element."""
    errors = [tolerances.largest(y) for y, _ in _errors(point)]
    return max([tolerances.largest(np.asarray(point.y)), *(error / tolerances.eps(np.float32) for error in errors)])


def sizes_of_y(point: Point) -> Array:
    """The same for each element of y by itself."""
    sizes = np.abs(np.asarray(point.y))
    for error, _ in _errors(point):
        shown = np.where(np.isfinite(error), np.abs(error), 0.0)  # what overflows in float32 shows no rounding
        sizes = np.fmax(sizes, shown / tolerances.eps(np.float32))
    return sizes


@lru_cache(maxsize=1)  # several derivatives ask at the same point
def balanced(point: Point) -> Point | None:
    """The same point with a dy in which no element of y counts for more than the smallest; None where they are alike.

    Beside an element of 10¹³ the change of one of 1 is a rounding: what is unknown of the sum may be known of it.
    """
    sizes = np.maximum(sizes_of_y(point), 1.0)  # 1 is in most formulas: what is smaller has its roundings
    smallest = float(np.min(sizes, initial=np.inf))
    if not smallest < tolerances.largest(sizes):
        return None
    return Point(point.function, point.inputs["x"], weights=point.weights * smallest / sizes)


def noise_in_single(point: Point) -> dict[str, float]:
    """By how much the float32 error of y and of each gradient changes from place to place.

    Rounding comes and goes. What stays the same is no rounding, and does not count. Nothing where it can't be measured.
    """
    errors = _errors(point)
    if not errors:
        return {}
    (y, grads), *others = errors
    noise = {"y": max(tolerances.largest(other - y) for other, _ in others)}
    return noise | {
        f"the gradient of {name}": max(tolerances.largest(other[name] - error) for _, other in others)
        for name, error in grads.items()
    }


@lru_cache(maxsize=2)  # several properties ask at the same point and at the same with a balanced dy
def _errors(point: Point) -> list[tuple[Array, Arrays]]:
    """float32's y and gradients minus float64's, at each place; none where the function knows no float32."""
    rng, found = np.random.default_rng(0), []
    given = {**point.inputs, "u of the check": point.u}
    for k in range(NEARBY):
        # Towards 0, so that no input leaves the domain of a logarithm; the first place is the point itself.
        shifted = {name: value * (1 - k * SHIFT * rng.uniform(size=value.shape)) for name, value in given.items()}
        narrow = in_single(shifted)
        if narrow is None:
            return []
        try:
            with np.errstate(all="ignore"):
                found.append(_error(point, narrow))
        except Exception:  # whatever a function that was written for float64 alone raises
            return []
    return found


def _error(point: Point, narrow: Arrays) -> tuple[Array, Arrays]:
    wide = {name: value.astype(np.float64) for name, value in narrow.items()}
    (y32, grads32), (y64, grads64) = (_passes(point, arrays) for arrays in (narrow, wide))
    return np.asarray(y32) - y64, {name: np.asarray(grads32[name]) - grads64[name] for name in point.inputs}


def _passes(point: Point, arrays: Arrays) -> tuple[Array, Arrays]:
    arrays = dict(arrays)
    u = arrays.pop("u of the check")
    y, pullback = point.function.vjp(arrays)
    return np.array(y), {name: np.array(gradient) for name, gradient in pullback(u).items()}
