"""Neither pass changes what it was given, and both may be asked twice."""

import numpy as np

from mlp_scratch.testing.function import Arrays
from mlp_scratch.testing.point import Point


def purity(point: Point) -> None:
    """Forward writes to none of its inputs, backward not to dy: an in-place write spoils another layer's cache."""
    _never_writes(point)
    inputs = point.copy()
    y, pullback = point.function.vjp(inputs)
    _unchanged(point, inputs, "forward")
    dy, y_before = point.u.copy(), np.array(y)
    pullback(dy)
    _same(point, "purity", "backward leaves dy as it is", "dy", dy, point.u)
    _same(point, "purity", "backward leaves y as it is", "y", np.asarray(y), y_before)
    _unchanged(point, inputs, "backward")


def _never_writes(point: Point) -> None:
    """Neither pass so much as tries to write, which comparing before and after can't see where nothing changes."""
    inputs, dy = point.copy(), point.u.copy()
    for array in (*inputs.values(), dy):
        array.flags.writeable = False
    try:
        point.function.vjp(inputs)[1](dy)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        claim = "neither pass writes to its inputs or to dy"
        raise point.error("purity", claim, {"error": error}) from error


def repeatability(point: Point) -> None:
    """Either pass called twice returns the same bits: backward never accumulates and leaves its cache alone."""
    y, pullback = point.function.vjp(point.copy())
    claim = "forward called twice returns the same: noise in it is a function of a seed"
    _same(point, "repeatability", claim, "y", np.asarray(y), np.asarray(point.y))
    first = {name: np.array(g) for name, g in pullback(point.u.copy()).items()}
    second = pullback(point.u.copy())
    for name, gradient in first.items():
        claim = "backward called twice returns the same: it neither accumulates nor spoils its cache"
        _same(point, "repeatability", claim, f"the gradient of {name}", second[name], gradient)


def _unchanged(point: Point, inputs: Arrays, culprit: str) -> None:
    for name, value in inputs.items():
        _same(point, "purity", f"{culprit} leaves its inputs as they are", name, value, point.inputs[name])


def _same(point: Point, check: str, claim: str, what: str, actual: "np.ndarray", expected: "np.ndarray") -> None:
    point.compare(check, claim, what, np.asarray(actual), np.asarray(expected), 0.0, ("got", "expected"))
