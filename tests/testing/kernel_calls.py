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
    lane_values,
    losses,
    memory,
    shuffling,
    slopes,
    updates,
)
from mlp_kernels.cpu.tile import Tile
from mlp_scratch.random import philox4x32

PLAIN = bool(config.DISABLE_JIT)
MODULES = (activations, batch_norm, cross_entropy, dropout, elementary, losses, shuffling, slopes, updates)

DTYPES = ("float32", "float64") if PLAIN else ("float64",)
"""Compiled float32 is held to the specification by tests/backends; here each dtype takes seconds to compile."""

ORDINARY = np.array([0.0, 0.25, -0.25, 1.0, -1.0, 1.5, 1.5625, -1.5, 2.0, 3.0, -3.0, 7.0, -7.0, 40.0, -40.0])
"""On and around every kink: 0, and 1.5, where a softplus of slope 2 becomes a line at a threshold of 3."""


def tile_of(dtype: str, lanes: int = 4) -> Tile:
    """A small tile for numbers of `dtype`."""
    return Tile(np.dtype(dtype), lanes=lanes, rows=2, vectors=2)


class _Lanes(np.ndarray):
    """A vector of a kernel, for a pointer is an array, too."""


def _number(like: Any, value: float) -> Any:
    assert isinstance(value, int | float | np.number)  # NumPy makes NaN of None
    return np.full_like(like, value) if isinstance(like, _Lanes) else like.dtype.type(value)


def _from_integer(like: Any, value: Any) -> Any:
    return value.astype(like.dtype) if isinstance(like, _Lanes) else _number(like, value)


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


def _bits(value: Any) -> Any:
    word = value.view(f"int{8 * value.dtype.itemsize}")
    return word if isinstance(value, _Lanes) else int(word)


def _from_bits(like: Any, value: Any) -> Any:
    if isinstance(like, _Lanes):
        return value.astype(f"int{8 * like.dtype.itemsize}").view(like.dtype)
    size = 8 * like.dtype.itemsize
    return np.array(int(value) & ((1 << size) - 1), f"uint{size}").view(like.dtype)[()]


def _load_lanes(tile: Any, pointer: Any, offset: int) -> Any:
    assert 0 <= offset <= len(pointer) - tile.lanes
    return pointer[offset : offset + tile.lanes].copy().view(_Lanes)


def _store_lanes(pointer: Any, offset: int, lanes: Any) -> None:
    assert isinstance(lanes, _Lanes)
    assert lanes.dtype == pointer.dtype
    assert offset >= 0
    assert len(pointer[offset : offset + len(lanes)]) == len(lanes)
    pointer[offset : offset + len(lanes)] = lanes


def _where(mask: Any, x: Any, y: Any) -> Any:
    return np.where(mask, x, y).view(_Lanes) if isinstance(x, _Lanes) else (x if mask else y)


STANDING_IN: dict[str, Callable[..., Any]] = {
    "number": _number,
    "pointer_to": _pointer_to,
    "shift": _shift,
    "load": _load,
    "store": _store,
    "bits": _bits,
    "from_bits": _from_bits,
    "from_integer": _from_integer,
    "load_lanes": _load_lanes,
    "store_lanes": _store_lanes,
    "where": _where,
    "multiply_add": lambda x, y, z: x * y + z,
    "local": lambda count, kind: np.full(count, kind(123)),  # anything
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
            named = any(getattr(source, name, None) is value for source in (memory, lane_values))
            stands_in = STANDING_IN.get(name) if named else _series(value)
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
