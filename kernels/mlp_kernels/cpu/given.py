"""A user's own functions of numbers, compiled into the loops that the package's own functions are compiled into.

The user's function gets a float64 whatever the network's type is, and what it returns is rounded to that: the same
numbers as when Python calls it. Where it raises, the answer is NaN, for compiled loops hand no exception on.

Nothing of this is kept on disk, where code goes by the sources of this package: what a function calls, and what its
closure holds, may have changed by the next time. So each process compiles it, and compiles it anew when what it reads
has changed (`captured`).
"""

from collections.abc import Callable, Hashable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from numba import njit, types

from mlp_kernels.cpu import activations, losses
from mlp_kernels.cpu.captured import captured
from mlp_kernels.cpu.compiling import inlined
from mlp_kernels.cpu.memory import number
from mlp_kernels.cpu.tile import Tile

Scalar = Callable[..., Any]


def fault(function: Scalar, arguments: int) -> str:
    """Why Numba can't make a number of so many numbers with `function`; empty if it can.

    >>> fault(lambda x: x * x, 1)
    ''
    >>> fault(lambda x: str(x), 1)
    'it returns unicode_type'
    """
    return _fault(_compilable(function), arguments)


@cache
def _fault(given: Scalar, arguments: int) -> str:
    kinds = (types.float64,) * arguments
    trial = njit(error_model="numpy")((lambda x: given(x)) if arguments == 1 else (lambda x, y: given(x, y)))
    try:
        trial.compile(kinds)
    except Exception as error:  # Numba has its own for what it doesn't know, but any may come out of its depths
        return " ".join(str(error).split()) or type(error).__name__
    result = types.unliteral(trial.overloads[kinds].signature.return_type)
    return "" if result in types.real_domain | types.integer_domain | {types.boolean} else f"it returns {result}"


def forward_address(function: Scalar, tile: Tile) -> int:
    """Where the compiled loop of an activation lies, a function of one number."""
    return activations.loop_address(activations.forward_of(_of_one(_compilable(function))), tile, kept=False)


def backward_address(derivative: Scalar, tile: Tile) -> int:
    """Where that of its derivative lies."""
    return activations.loop_address(activations.backward_of(_of_one(_compilable(derivative))), tile, kept=False)


def loss_address(value: Scalar, derivative: Scalar, tile: Tile) -> int:
    """Where the compiled loss lies, the mean of a function of an output and its target."""
    panel_loss = losses.mean_of(_of_two(_compilable(value)), _of_two(_compilable(derivative)), losses.no_accuracy)
    return losses.panel_address(panel_loss, tile, kept=False)


@cache
def _of_one(given: Scalar) -> Scalar:
    """`given` as the loops of activations call one, with two constants that it doesn't use."""

    def scalar(x: Any, a: Any, b: Any) -> Any:
        y: Any = np.nan
        try:
            y = np.float64(given(np.float64(x)))
        except Exception:
            y = np.nan
        return number(x, y)

    return inlined(scalar)


@cache
def _of_two(given: Scalar) -> Scalar:
    """`given` as the loops of losses call one, with a constant that it doesn't use."""

    def scalar(z: Any, t: Any, a: Any) -> Any:
        y: Any = np.nan
        try:
            y = np.float64(given(np.float64(z), np.float64(t)))
        except Exception:
            y = np.nan
        return number(z, y)

    return inlined(scalar)


def _compilable(function: Scalar) -> Scalar:
    """`function` in a form that compiled code can call: functions of `math` and NumPy already have it."""
    plain = getattr(function, "py_func", function)  # of one that Numba has compiled, with rules of its own
    return _jitted(plain, captured(function)) if isinstance(plain, FunctionType) else function


@cache
def _jitted(function: Scalar, constants: Hashable) -> Scalar:
    """`function` for Numba to compile, once for all `constants` that are equal."""
    compilable: Scalar = njit(error_model="numpy")(function)
    return compilable
