"""Is backward the derivative of forward? Element by element, along a random direction, and to second order."""

from collections.abc import Iterator

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.derivatives import SMALLEST_STEP, Derivative, central_difference
from mlp_scratch.testing import slopes, tolerances
from mlp_scratch.testing.function import Arrays
from mlp_scratch.testing.point import Point

ELEMENTS = 24
"""Elements of each input that are differentiated one by one; of a larger one, so many at random."""


def derivative(point: Point) -> None:
    """∂/∂θ_i Σ u · f(θ), one element at a time: backward's number beside forward's."""
    for name, index in elements(point):
        direction = {name: np.zeros_like(point.inputs[name])}
        direction[name][index] = 1.0
        numeric = slopes.derivative(point.function, point.inputs, direction, point.u)
        where = f"{name}[{', '.join(map(str, index))}]"
        _hold(
            point, "derivative", where, float(point.grads[name][index]), numeric, point.scales[name], at=(name, index)
        )


def adjoint(point: Point) -> None:
    """<J v, u> = <v, Jᵀ u> for a random v through all inputs at once: forward knows J v, backward Jᵀ u.

    Elements at a kink, where the directional derivative is not linear in v, don't move.
    """
    direction = {name: _direction(point, name) for name in point.inputs}
    numeric = slopes.derivative(point.function, point.inputs, direction, point.u)
    product = sum(float((point.grads[name] * direction[name]).sum()) for name in direction)
    magnitude = sum(point.scales[name] * float(np.abs(direction[name]).sum()) for name in direction)
    _hold(point, "adjoint", "<v, backward(dy)> beside <forward's change along v, dy>",
          product, numeric, magnitude)  # fmt: skip


def hessian_symmetry(point: Point) -> None:
    """<H v, w> = <H w, v> with H v the change of backward's answer along v: a gradient field has no curl.

    Catches what forward never sees: a backward that returns the derivative of nothing. Only where f is smooth.
    """
    if _kinked(point):
        return
    v, w = ({name: _direction(point, name) for name in point.inputs} for _ in range(2))
    one, other = _gradient_change(point, v, w), _gradient_change(point, w, v)
    allowed = tolerances.DOUBTS * (one.uncertainty + other.uncertainty)
    size = sum(point.scales[name] * point.inputs[name].size for name in v)
    allowed += tolerances.rounding(0, max(abs(one.low), abs(other.low), size), np.float64)
    claim = "the second derivatives that backward implies are symmetric: <H v, w> = <H w, v>"
    point.compare(
        "hessian_symmetry", claim, "H", np.array(one.low), np.array(other.low), allowed, ("<H v, w>", "<H w, v>")
    )


def elements(point: Point) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Which elements of which inputs to look at: all, or a random sample of a large array."""
    for name, value in point.inputs.items():
        chosen = np.arange(value.size)
        if value.size > ELEMENTS:
            chosen = np.sort(point.rng.choice(value.size, ELEMENTS, replace=False))
        for i in chosen:
            yield name, tuple(int(k) for k in np.unravel_index(int(i), value.shape))


def _hold(
    point: Point,
    check: str,
    where: str,
    analytic: float,
    numeric: Derivative,
    magnitude: float,
    at: tuple[str, tuple[int, ...]] | None = None,
) -> None:
    allowed = tolerances.slope(numeric, point.u.size, magnitude)
    point.counts.derivatives += 1
    point.counts.kinks += numeric.at_kink
    # A gradient that is zero is resolved by what would have been seen had it not been.
    size = max(magnitude, *point.scales.values()) or 1.0
    point.counts.unresolved += int(allowed > tolerances.RESOLVED * size and not numeric.at_kink)
    off = numeric.distance(analytic)
    if off <= allowed:
        return
    forward: object = numeric.low
    if numeric.at_kink:
        forward = f"between {numeric.low:.17g} and {numeric.high:.17g}, at a kink"
    facts: dict[str, object] = {"of": where, "backward says": analytic, "forward says": forward, "off by": off}
    facts |= {"allowed": allowed, "relative error": off / max(abs(analytic), abs(numeric.low), 1e-300)}
    if at is not None:
        facts["at"] = float(point.inputs[at[0]][at[1]])
    raise point.error(check, "backward returns the derivative of what forward computes", facts)


def _direction(point: Point, name: str) -> Array:
    value = point.inputs[name]
    direction = point.rng.choice([-1.0, 1.0], value.shape) * point.rng.uniform(0.5, 1.0, value.shape)
    still = _at_kink(point, name)
    return np.where(still, 0.0, direction) / np.sqrt(max(value.size, 1))


def _at_kink(point: Point, name: str) -> Array:
    """Which elements of an input lie on a kink; without declared pieces, those that are exactly 0 may."""
    value = point.inputs[name]
    if point.function.analytic:
        return np.zeros(value.shape, dtype=bool)
    if point.function.pieces is None:
        return np.asarray(value == 0)
    moved = np.zeros(value.shape, dtype=bool)
    for sign in (-1, 1):
        step = {**point.inputs, name: value + sign * SMALLEST_STEP}
        for here, there in zip(point.function.pieces(point.inputs), point.function.pieces(step), strict=True):
            if here.shape == value.shape:
                moved |= here != there
    return moved


def _kinked(point: Point) -> bool:
    """Whether f has kinks anywhere, or may have."""
    function = point.function
    if function.pieces is not None:
        return bool(function.pieces(point.inputs))
    if function.analytic:
        return False
    return any(
        slopes.derivative(function, point.inputs, {name: _unit(point, name, index)}, point.u).at_kink
        for name, index in elements(point)
    )


def _unit(point: Point, name: str, index: tuple[int, ...]) -> Array:
    unit = np.zeros_like(point.inputs[name])
    unit[index] = 1.0
    return unit


def _gradient_change(point: Point, v: Arrays, w: Arrays) -> Derivative:
    """d/dt <backward(u) at θ + t v, w>."""

    def line(t: complex) -> tuple[complex, float, list[Array]]:
        moved = {name: value + float(t.real) * v[name] for name, value in point.inputs.items()}
        grads = point.function.vjp(moved)[1](point.u.copy())
        products = np.concatenate([(grads[name] * w[name]).ravel() for name in w])
        return complex(products.sum()), float(np.abs(products).sum()), []

    return central_difference(line)
