"""Functions of plain numbers that a user writes, applied to arrays: one call an element, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError

Scalar = Callable[..., Any]
"""Real numbers in, a real number out."""


def elementwise(name: str, function: Scalar, *arrays: Array) -> Array:
    """`function` of each element of arrays of one shape, rounded to their dtype.

    The numbers are NumPy's float64, so that dividing by zero gives infinity, as it does in compiled code.

    Raises:
        ArgumentError: where the function raises or returns no real number; `name` is what the message calls it.

    >>> elementwise("f", lambda x: max(x, 0.0), np.array([-1.0, 2.0], dtype="float32"))
    array([0., 2.], dtype=float32)
    """
    result = np.empty(arrays[0].shape, arrays[0].dtype)
    with np.errstate(all="ignore"):  # NaN and infinity are looked for where they matter
        for index, numbers in zip(
            np.ndindex(result.shape), zip(*(a.ravel() for a in arrays), strict=True), strict=True
        ):
            given = [np.float64(number) for number in numbers]
            try:
                value = function(*given)  # None, of a forgotten `return`, would become NaN
                if np.iscomplexobj(value):  # of which float would take the real part
                    raise TypeError(f"a complex number, {value}")
                result[index] = float(value)
            except (ArithmeticError, TypeError, ValueError) as error:
                raise ArgumentError(
                    name,
                    given=f"{type(error).__name__} ({error}) for {', '.join(str(number) for number in given)}",
                    expected="a real number for any",
                    mend="functions of numpy give infinity or NaN where those of math raise",
                ) from error
    return result


def check_name(argument: str, name: object) -> None:
    """Raise unless `name` can stand for a user's own function in messages and model files."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ArgumentError(
            argument, given=checks.describe(name), expected="a name of letters, digits and _", mend="try 'swish'"
        )


def check_callable(argument: str, value: object) -> None:
    """Raise unless `value` can be called."""
    if not callable(value):
        raise ArgumentTypeError(
            argument,
            given=checks.describe(value),
            expected="a function of numbers",
            mend="try lambda x: x * x",
        )
