"""Is backward the derivative of forward? Element by element, along a random direction, and to second order."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.derivatives import DOUBTS, SMALLEST_STEP, Derivative, central_difference
from mlp_scratch.testing import slopes, tolerances
from mlp_scratch.testing.function import Arrays
from mlp_scratch.testing.kinks import beside, slope_along
from mlp_scratch.testing.point import Counts, Point
from mlp_scratch.testing.roundings import balanced
from mlp_scratch.testing.slopes import Slopes

ELEMENTS = 24
"""Elements of each input that are differentiated one by one; of a larger one, so many at random."""

Place = tuple[str, tuple[int, ...]]
"""An element of an input: its name and its index."""


def derivative(point: Point) -> None:
    """∂/∂θ_i Σ u · f(θ), one element at a time: backward's number beside forward's."""
    for place, numeric in partial_derivatives(point).items():
        _hold(point, "derivative", {place[0]: _unit(point, place)}, numeric, place)


def adjoint(point: Point) -> None:
    """<J v, u> = <v, Jᵀ u> for a random v through all inputs at once: forward knows J v, backward Jᵀ u.

    Where v leaves a kink it is held to both sides, and with what lies on the kink held still once more to one number.
    """
    direction = {name: _direction(point, name) for name in point.inputs}
    numeric = slope_along(point, direction)
    _hold(point, "adjoint", direction, numeric)
    if numeric.total.at_kink:
        for (name, index), slope in partial_derivatives(point).items():
            if slope.total.at_kink:
                direction[name][index] = 0.0
        _hold(point, "adjoint", direction, slope_along(point, direction))


def hessian_symmetry(point: Point) -> None:
    """<H v, w> = <H w, v> with H v the change of backward's answer along v: a gradient field has no curl.

    Catches what forward never sees: a backward that returns the derivative of nothing. Only where f is smooth.
    """
    if _kinked(point):
        return
    v, w = ({name: _direction(point, name) for name in point.inputs} for _ in range(2))
    one, other = _gradient_change(point, v, w), _gradient_change(point, w, v)
    if not (one.known and other.known):
        return
    allowed = DOUBTS * (one.uncertainty + other.uncertainty)
    size = _magnitude(point, v) + _magnitude(point, w)
    allowed += tolerances.rounding(0, max(abs(one.low), abs(other.low), size), np.float64)
    claim = "the second derivatives that backward implies are symmetric: <H v, w> = <H w, v>"
    point.compare(
        "hessian_symmetry", claim, "H", np.array(one.low), np.array(other.low), allowed, ("<H v, w>", "<H w, v>")
    )


def something_known(counts: Counts) -> None:
    """Raise where at no point anything was known of the gradient of an input, which backward says is not 0."""
    for error in counts.unknown.values():
        if error is not None:
            raise error


@lru_cache(maxsize=1)  # of the point that is being checked: three properties look at them
def partial_derivatives(point: Point) -> dict[Place, Slopes]:
    """The numerical derivatives by each element of each input, or by a random sample of a large one."""
    return {
        place: slope_along(point, {place[0]: _unit(point, place)}, _size(point, place)) for place in _elements(point)
    }


def _elements(point: Point) -> Iterator[Place]:
    for name, value in point.inputs.items():
        chosen = np.arange(value.size)
        if value.size > ELEMENTS:
            chosen = np.sort(point.rng.choice(value.size, ELEMENTS, replace=False))
        for i in chosen:
            yield name, tuple(int(k) for k in np.unravel_index(int(i), value.shape))


def _hold(point: Point, check: str, direction: Arrays, numeric: Slopes, place: Place | None = None) -> None:
    """Raise unless backward's derivative along `direction` is the numerical one; compare nothing with the unknown.

    What large elements of y drown is looked at once more, with a dy that makes them small.
    """
    slope, analytic = numeric.total, _product(point.grads, direction)
    allowed = _allowed(point, direction, slope)
    resolved = _resolved(point, direction, slope)
    _agree(point, check, direction, numeric, place)
    if not resolved and (even := balanced(point)) is not None:
        again = slope_along(even, direction, 1.0 if place is None else _size(point, place))
        _agree(even, check, direction, again, place)
        resolved = _resolved(even, direction, again.total)
    point.counts.derivatives += 1
    point.counts.kinks += slope.at_kink
    point.counts.unresolved += not resolved
    if place is not None:
        something = allowed <= max(tolerances.RESOLVED * _magnitude(point, direction), _negligible(point, place))
        _remember(point, place, analytic, resolved or something)


def _resolved(point: Point, direction: Arrays, slope: Derivative) -> bool:
    """Whether an error of a hundred-thousandth of the derivative would show.

    One that is zero is resolved by what would have been seen had it not been: one as large as others, or as dy.
    """
    size = max(abs(_product(point.grads, direction)), abs(slope.low), abs(slope.high))
    size = size or min(_magnitude(point, direction) or max(point.scales.values()) or 1.0, tolerances.largest(point.u))
    return slope.at_kink or _allowed(point, direction, slope) <= tolerances.RESOLVED * size


def _agree(point: Point, check: str, direction: Arrays, numeric: Slopes, place: Place | None) -> None:
    slope, analytic = numeric.total, _product(point.grads, direction)
    allowed = _allowed(point, direction, slope)
    if not slope.known or slope.distance(analytic) <= allowed:
        return
    if _sides_are_free(point):
        others = beside(point, direction, numeric, 1.0 if place is None else _size(point, place))
        if others and not any(_wrong(at, direction, there.total) for at, there in others):
            return
    facts = _facts(place, analytic, slope, allowed)
    if place is not None:
        facts["at"] = float(point.inputs[place[0]][place[1]])
    raise point.error(check, "backward returns the derivative of what forward computes", facts)


def _facts(place: Place | None, analytic: float, slope: Derivative, allowed: float) -> dict[str, object]:
    of, off = "<v, backward(dy)> beside <forward's change along v, dy>", slope.distance(analytic)
    if place is not None:
        of = f"{place[0]}[{', '.join(map(str, place[1]))}]"
    forward: object = slope.low
    if slope.at_kink:
        forward = f"between {slope.low:.17g} and {slope.high:.17g}, at a kink"
    facts: dict[str, object] = {"of": of, "backward says": analytic, "forward says": forward, "off by": off}
    return facts | {"allowed": allowed, "relative error": off / max(abs(analytic), abs(slope.low), 1e-300)}


def _wrong(at: Point, direction: Arrays, slope: Derivative) -> bool:
    return slope.known and slope.distance(_product(at.grads, direction)) > _allowed(at, direction, slope)


def _allowed(point: Point, direction: Arrays, slope: Derivative) -> float:
    """What roundings may come to; where forward stands still, of the log of 1 + 10⁻¹⁷ say, also those of 1."""
    least = tolerances.largest(point.u) if slope.low == slope.high == 0 else 0.0
    return tolerances.slope(slope, point.u.size, _magnitude(point, direction, least))


def _remember(point: Point, place: Place, analytic: float, known: bool) -> None:
    """That something is known of the gradient of an input, or, as long as nothing is, what to say in the end.

    A gradient of 0 under every dy is believed where nothing is known: beside a jump it is right.
    """
    name, unknown = place[0], point.counts.unknown
    if known or point.sizes[name] == analytic == 0:
        unknown[name] = None
    elif name not in unknown:
        facts: dict[str, object] = {"of": name, "backward says": analytic, "forward says": "nothing, at any element"}
        claim = "backward can be told from a wrong one: give an x at which forward is finite, smooth and not too steep"
        unknown[name] = point.error("derivative", claim, facts)


def _negligible(point: Point, place: Place) -> float:
    """A derivative of this size moves y by next to nothing when the element moves by its own size."""
    y = np.abs(point.u * point.y).sum()
    return tolerances.RESOLVED * float(y) / max(_size(point, place), 1.0) if np.isfinite(y) else 0.0


def _product(grads: Arrays, direction: Arrays) -> float:
    moved = {name: v != 0 for name, v in direction.items()}  # not 0 · NaN: another element's error
    return float(sum((np.asarray(grads[k])[on] * direction[k][on]).sum() for k, on in moved.items()))


def _magnitude(point: Point, direction: Arrays, least: float = 0.0) -> float:
    return float(sum(max(point.scales[name], least) * np.abs(v).sum() for name, v in direction.items()))


def _size(point: Point, place: Place) -> float:
    return abs(float(point.inputs[place[0]][place[1]]))


def _unit(point: Point, place: Place) -> Array:
    unit = np.zeros(point.inputs[place[0]].shape)
    unit[place[1]] = 1.0
    return unit


def _direction(point: Point, name: str) -> Array:
    """A random one, along which each element moves in proportion to its size.

    Where the side that counts at a kink is given, all elements move to the same side, right along v as by themselves;
    what lies on a kink between declared pieces doesn't move.
    """
    value, function = point.inputs[name], point.function
    direction = point.rng.choice([-1.0, 1.0], value.shape) * point.rng.uniform(0.5, 1.0, value.shape)
    if function.at_kink != "any":
        direction = np.abs(direction)
    if slopes.declared(function, point.inputs):
        direction = np.where(_at_declared_kink(point, name), 0.0, direction)
    return np.asarray(direction * np.maximum(np.abs(value), 1.0) / np.sqrt(max(value.size, 1)))


def _at_declared_kink(point: Point, name: str) -> Array:
    value = point.inputs[name]
    at_kink = np.zeros(value.shape, dtype=bool)
    here = slopes.declared(point.function, point.inputs)
    for sign in (-1, 1):
        step = {**point.inputs, name: value + sign * SMALLEST_STEP * np.maximum(np.abs(value), 1.0)}
        for piece, there in zip(here, slopes.declared(point.function, step), strict=True):
            if piece.shape == value.shape:
                at_kink |= piece != there
    return at_kink


def _sides_are_free(point: Point) -> bool:
    function = point.function
    return not function.analytic and function.at_kink == "any" and not slopes.declared(function, point.inputs)


def _kinked(point: Point) -> bool:
    """Whether f has kinks anywhere, or at what was looked at."""
    if point.function.analytic:
        return False
    if slopes.declared(point.function, point.inputs):
        return True
    return any(slope.total.at_kink for slope in partial_derivatives(point).values())


def _gradient_change(point: Point, v: Arrays, w: Arrays) -> Derivative:
    """d/dt <backward(u) at θ + t v, w>, whose terms have the roundings of the numbers that they are made of."""
    size = _magnitude(point, w)

    def line(t: complex) -> tuple[complex, float, list[Array]]:
        moved = {name: value + float(t.real) * v[name] for name, value in point.inputs.items()}
        grads = point.function.vjp(moved)[1](point.u.copy())
        products = np.concatenate([(grads[name] * w[name]).ravel() for name in w])
        return complex(products.sum()), max(float(np.abs(products).sum()), size), []

    return central_difference(line)
