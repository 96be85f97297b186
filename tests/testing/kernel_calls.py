"""Calls of kernels from tests, compiled or, with NUMBA_DISABLE_JIT=1, as the plain Python that they are written in.

As plain Python a pointer is the array that it points at, and the few intrinsics that emit instructions are replaced
by what they mean. So a fault in a kernel can be told from a fault of the compiler, and a debugger can step through.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import config, njit
from numba.extending import _Intrinsic

from mlp_kernels.cpu import (
    activations,
    batch_norm,
    cross_entropy,
    dropout,
    elementary,
    losses,
    memory,
    shuffling,
    slopes,
    updates,
)
from mlp_scratch.random import philox4x32

PLAIN = bool(config.DISABLE_JIT)
MODULES = (activations, batch_norm, cross_entropy, dropout, elementary, losses, shuffling, slopes, updates)


def _number(like: Any, value: float) -> Any:
    assert isinstance(value, int | float | np.number)  # NumPy makes NaN of None
    return like.dtype.type(value)


def _shift(pointer: Any, offset: int) -> Any:
    assert 0 <= offset <= len(pointer)
    return pointer[offset:]


def _load(pointer: Any, offset: int) -> Any:
    assert 0 <= offset < len(pointer)
    return pointer[offset]


def _store(pointer: Any, offset: int, value: Any) -> None:
    assert 0 <= offset < len(pointer)
    assert np.asarray(value).dtype.kind in "iub" or np.asarray(value).dtype == pointer.dtype
    pointer[offset] = value


def _pointer_to(array: Any) -> Any:
    assert array.flags.c_contiguous
    return array.ravel()


def _bits(value: Any) -> int:
    return int(value.view(f"int{8 * value.dtype.itemsize}"))


def _from_bits(like: Any, value: int) -> Any:
    size = 8 * like.dtype.itemsize
    return np.array(int(value) & ((1 << size) - 1), f"uint{size}").view(like.dtype)[()]


STANDING_IN: dict[str, Callable[..., Any]] = {
    "number": _number,
    "pointer_to": _pointer_to,
    "shift": _shift,
    "load": _load,
    "store": _store,
    "bits": _bits,
    "from_bits": _from_bits,
    "from_integer": _number,
    "local_row": lambda tile: np.full(tile.columns, np.nan, tile.dtype),
}


def _series(intrinsic: Any) -> Callable[[Any], Any] | None:
    """A polynomial of `elementary`, or one of its constants, from the numbers that its generator holds."""
    if intrinsic._defn.__closure__ is None:
        return None  # a tile, which only exists compiled
    names = intrinsic._defn.__code__.co_freevars
    held = dict(zip(names, (cell.cell_contents for cell in intrinsic._defn.__closure__), strict=True))

    def value(x: Any) -> Any:
        chosen = held["double" if x.dtype == np.float64 else "single"]
        if isinstance(chosen, int):
            return chosen
        if isinstance(chosen, float):
            return x.dtype.type(chosen)
        y = x.dtype.type(chosen[0])
        for c in chosen[1:]:
            y = y * x + x.dtype.type(c)
        return y

    return value


def _make_plain(module: ModuleType) -> None:
    for name, value in list(vars(module).items()):
        if isinstance(value, _Intrinsic):
            stands_in = STANDING_IN.get(name) if getattr(memory, name, None) is value else _series(value)
            setattr(module, name, stands_in or value)


def _draw_blocks(keys: Any, first: int, epoch: int, seed: int) -> None:
    blocks = np.arange(first, first + np.uint64(shuffling.LANES), dtype=np.uint64)
    for k, words in enumerate(philox4x32((blocks, 0, shuffling.STREAM, epoch), int(seed))):
        here = slice(k * shuffling.LANES, (k + 1) * shuffling.LANES)
        keys[here] = words << np.uint64(32) | np.uint64(4) * blocks + np.uint64(k)


if PLAIN:
    for _module in MODULES:
        _make_plain(_module)
    shuffling._draw_blocks = _draw_blocks


@cache
def calling(function: Any, pointers: int, values: int = 0, *, tile: bool = False) -> Callable[..., Any]:
    """`function` as something to call with so many arrays in place of pointers, then so many values.

    A call of tile functions begins with the tile.
    """
    if isinstance(function, FunctionType) and not PLAIN:
        function = njit(error_model="numpy")(function)
    heads = ["tile"] if tile else []
    arrays = [f"p{i}" for i in range(pointers)]
    plain = [f"v{i}" for i in range(values)]
    given = ", ".join([*heads, *arrays, *plain])
    passed = ", ".join([*heads, *(f"pointer_to({name})" for name in arrays), *plain])
    namespace: dict[str, Any] = {"function": function, "pointer_to": _pointer_to if PLAIN else memory.pointer_to}
    exec(f"def call({given}):\n    return function({passed})", namespace)
    return namespace["call"] if PLAIN else njit(error_model="numpy")(namespace["call"])


@cache
def inlining(function: Any) -> Any:
    """`function` as something that a function of a test can call, compiled or not."""
    return njit(error_model="numpy")(function) if isinstance(function, FunctionType) and not PLAIN else function


@cache
def over_numbers(function: Any) -> Callable[[Any], Any]:
    """`function`, of one number, over an array."""
    one = inlining(function)

    def every(x: Any, y: Any) -> None:
        for i in range(len(x)):
            y[i] = one(x[i])

    run = inlining(every)

    def call(x: Any) -> Any:
        y = np.empty_like(x)
        run(x, y)
        return y

    return call
