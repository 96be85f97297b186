"""Neither pass changes what it was given, and both may be asked twice."""

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.function import Arrays
from mlp_scratch.testing.point import Point
from mlp_scratch.testing.roundings import scale_of_y


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
    """Either pass called twice returns the same bits: backward never accumulates and leaves its cache alone.

    What was cached of an earlier batch, or of parameters that were updated since, is not used again. Where y can be had
    without a gradient, it is the same y, but for rounding.
    """
    y, pullback = point.function.vjp(point.copy())
    claim = "forward called twice returns the same: noise in it is a function of a seed"
    _same(point, "repeatability", claim, "y", np.asarray(y), np.asarray(point.y))
    first = {name: np.array(g) for name, g in pullback(point.u.copy()).items()}
    second = pullback(point.u.copy())
    for name, gradient in first.items():
        claim = "backward called twice returns the same: it neither accumulates nor spoils its cache"
        _same(point, "repeatability", claim, f"the gradient of {name}", second[name], gradient)
    _trains_on_its_value(point)
    _forgets(point)


def _trains_on_its_value(point: Point) -> None:
    """What is differentiated numerically is what training sees: a custom rule may compute a y of its own."""
    if point.function.value is None:
        return
    claim, labels = "forward returns the same y with a gradient and without", ("with a gradient", "without")
    allowed = tolerances.rounding(point.u.size, scale_of_y(point), np.float64)
    alone = np.asarray(point.function(point.copy()))
    point.compare("repeatability", claim, "y", np.asarray(point.y), alone, allowed, labels)


def _forgets(point: Point) -> None:
    """After another batch at other parameters the layer returns what it does after this batch at these ones.

    Not what a fresh layer returns: noise may go on from a generator that the layer holds.
    """
    if point.function.vjp_after is None:
        return
    results = []
    for earlier in (point.copy(), {name: _nearby(value) for name, value in point.inputs.items()}):
        with np.errstate(all="ignore"):  # the other batch may be just outside of where the function is defined
            y, pullback = point.function.vjp_after(earlier, point.copy(), point.u.copy())
        grads = pullback(point.u.copy())
        results.append({"y": np.array(y)} | {f"the gradient of {name}": np.array(g) for name, g in grads.items()})
    claim = "what is cached of an earlier batch or of earlier parameters is not used again"
    for what, expected in results[0].items():
        _same(point, "repeatability", claim, what, results[1][what], expected)


def _nearby(value: Array) -> Array:
    """Other numbers, none of which is the same, and hardly larger ones: most functions are defined there too."""
    return np.where(value == 0, 2.0**-10, value * (1 - 2.0**-10))


def _unchanged(point: Point, inputs: Arrays, culprit: str) -> None:
    for name, value in inputs.items():
        _same(point, "purity", f"{culprit} leaves its inputs as they are", name, value, point.inputs[name])


def _same(point: Point, check: str, claim: str, what: str, actual: Array, expected: Array) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    # A NaN twice is the same twice: that it is one is for other properties to say.
    if not np.array_equal(actual, expected, equal_nan=True):
        point.compare(check, claim, what, actual, expected, 0.0, ("got", "expected"))
