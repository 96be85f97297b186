"""How numbers are stored must not matter: dtype beyond its rounding, memory layout not at all."""

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.narrow import in_single
from mlp_scratch.testing.point import Point
from mlp_scratch.testing.roundings import noise_in_single, scale_of_y


def single_precision(point: Point) -> None:
    """float32 in, float32 out, from both passes, and the same numbers as in float64 to half of float32's digits.

    x is rounded to float32 first, so that both see the same input; one that float32 can't hold, or of which it can't
    hold y or a gradient, is not looked at.
    """
    narrow = in_single(point.inputs)
    if narrow is None:
        return
    wide = {name: value.astype(np.float64) for name, value in narrow.items()}
    u = point.u.astype(np.float32)
    y64, pull64 = point.function.vjp({name: value.copy() for name, value in wide.items()})
    grads64 = pull64(u.astype(np.float64))
    if in_single({"y of the check": np.asarray(y64), **grads64}) is None:
        return
    try:
        y32, pull32 = point.function.vjp({name: value.copy() for name, value in narrow.items()})
        grads32 = pull32(u.copy())
    except ArgumentError:
        raise
    except Exception as error:  # whatever a function that was written for float64 alone raises
        given = " ".join(f"{type(error).__name__}: {error}".split())
        facts: dict[str, object] = {"it raises": given, "if meant so": "skip=['single_precision']"}
        raise point.error("single_precision", "float32 is taken as well", facts) from error
    pairs = {"y": (y32, y64)} | {f"the gradient of {k}": (grads32[k], grads64[k]) for k in point.inputs}
    for what, (single, double) in pairs.items():
        single = np.asarray(single)
        if single.dtype != np.float32:
            facts = {"of": what, "its dtype": single.dtype}
            raise point.error("single_precision", "float32 in gives float32 out", facts)
        point.compare(
            "single_precision",
            "float32 gives float64's numbers, but for its rounding",
            what,
            single.astype(np.float64),
            double,
            _allowed_in_single(point, what, double),
            ("float32", "float64"),
        )


def _allowed_in_single(point: Point, what: str, double: Array) -> float:
    """Half of the digits of the array itself, and the roundings of the numbers that it is made of.

    These are as large as dy, or as the noise that float32 shows; never more than half of the digits of the larger of
    the array and dy.
    """
    own, dy = tolerances.largest(double), tolerances.largest(point.u)
    noise = noise_in_single(point).get(what, dy) / tolerances.eps(np.float32)
    made_of = tolerances.rounding(point.u.size, max(dy, noise), np.float32)
    return min(
        tolerances.half_the_digits(own, np.float32) + made_of, tolerances.half_the_digits(max(own, dy), np.float32)
    )


def layout(point: Point) -> None:
    """F order, strides, negative strides and read-only memory give the numbers that C order gives."""
    labels = ("other layout", "C order")
    size = scale_of_y(point)
    for description, laid_out in LAYOUTS.items():
        claim = f"memory layout doesn't matter: {description}"
        # Every input in this layout, the parameters too.
        y, pullback = point.function.vjp({name: laid_out(value) for name, value in point.inputs.items()})
        grads = pullback(laid_out(point.u))
        allowed = tolerances.rounding(point.u.size, size, np.float64)
        point.compare("layout", claim, "y", np.asarray(y), np.asarray(point.y), allowed, labels)
        for name, gradient in point.grads.items():
            allowed = tolerances.rounding(point.u.size, point.scales[name], np.float64)
            point.compare("layout", claim, f"the gradient of {name}", grads[name], gradient, allowed, labels)


def _strided(a: Array) -> Array:
    between = np.nan if a.dtype.kind == "f" else 0
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), between, a.dtype) if a.ndim else np.array(a)
    view = wide[..., ::2] if a.ndim else wide
    view[...] = a
    return view


def _reversed(a: Array) -> Array:
    return np.flip(np.flip(a).copy())


def _read_only(a: Array) -> Array:
    own = a.copy()
    own.flags.writeable = False
    return own


LAYOUTS = {
    "F order": lambda a: np.array(a, order="F"),  # asfortranarray makes a vector of a number
    "every second number of an array": _strided,
    "negative strides": _reversed,
    "read-only": _read_only,
}
"""Copies of an array in memory orders that callers have."""
