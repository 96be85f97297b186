"""Weights between the layout that users see and panels, and a look at what has become of them.

    W (H, D), row by row                     [ceil(H/w)][D'][w], W[h, d] at panel h // w, row d, lane h % w

Both directions go square by square, turned in registers, so that both sides are read and written in whole vectors.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, pointer_to, shift, store
from mlp_kernels.cpu.squares import turn_block
from mlp_kernels.cpu.threads import share
from mlp_kernels.cpu.tile import Tile


@kernel
def pack(tile: Tile, flat: Any, vectors: Any, matrices: Any, packed: Any, thread: int, threads: int) -> None:
    """All parameters from the flat vector into the packed one; the padding is left as it is.

    `vectors` has rows of (place in flat, place in packed, size), `matrices` of (place in flat, place in packed,
    outputs, inputs, rows of a panel), both int64. Threads share out the panels of each matrix; the first one has the
    vectors.
    """
    for v in range(vectors.shape[0] if thread == 0 else 0):
        _copy(pointer_to(flat), vectors[v, 0], pointer_to(packed), vectors[v, 1], vectors[v, 2])
    for m in range(matrices.shape[0]):
        source, destination = shift(pointer_to(flat), matrices[m, 0]), shift(pointer_to(packed), matrices[m, 1])
        first, end = _outputs_of(tile, matrices[m, 2], thread, threads)
        _pack_matrix(tile, source, first, end, matrices[m, 3], matrices[m, 4], destination)


@kernel
def unpack(tile: Tile, flat: Any, vectors: Any, matrices: Any, packed: Any, thread: int, threads: int) -> None:
    """The way back of `pack`."""
    for v in range(vectors.shape[0] if thread == 0 else 0):
        _copy(pointer_to(packed), vectors[v, 1], pointer_to(flat), vectors[v, 0], vectors[v, 2])
    for m in range(matrices.shape[0]):
        destination, source = shift(pointer_to(flat), matrices[m, 0]), shift(pointer_to(packed), matrices[m, 1])
        first, end = _outputs_of(tile, matrices[m, 2], thread, threads)
        _unpack_matrix(tile, destination, first, end, matrices[m, 3], matrices[m, 4], source)


@kernel
def _outputs_of(tile: Tile, outputs: int, thread: int, threads: int) -> Any:
    """The first output of a thread's panels, and the first one beyond them."""
    first, end = share(-(-outputs // tile.columns), thread, threads)
    return first * tile.columns, min(end * tile.columns, outputs)


@kernel
def _copy(source: Any, start: int, destination: Any, to: int, count: int) -> None:
    for i in range(count):
        store(destination, to + i, load(source, start + i))


@kernel
def _pack_matrix(tile: Tile, source: Any, first: int, end: int, inputs: int, rows: int, destination: Any) -> None:
    width, lanes = tile.columns, tile.lanes
    squares, whole = first + (end - first) // lanes * lanes, inputs // lanes * lanes
    for h in range(first, squares, lanes):
        place = h // width * rows * width + h % width
        for d in range(0, whole, lanes):
            turn_block(tile, shift(source, h * inputs + d), inputs, shift(destination, place + d * width), width)
    for h in range(first, end):
        place = h // width * rows * width + h % width
        for d in range(whole if h < squares else 0, inputs):
            store(destination, place + d * width, load(source, h * inputs + d))


@kernel
def _unpack_matrix(tile: Tile, destination: Any, first: int, end: int, inputs: int, rows: int, source: Any) -> None:
    width, lanes = tile.columns, tile.lanes
    squares, whole = first + (end - first) // lanes * lanes, inputs // lanes * lanes
    for h in range(first, squares, lanes):
        place = h // width * rows * width + h % width
        for d in range(0, whole, lanes):
            turn_block(tile, shift(source, place + d * width), width, shift(destination, h * inputs + d), inputs)
    for h in range(first, end):
        place = h // width * rows * width + h % width
        for d in range(whole if h < squares else 0, inputs):
            store(destination, h * inputs + d, load(source, place + d * width))


@kernel
def all_finite(values: Any) -> bool:
    """Whether a vector holds no NaN and no infinity; as fast as memory is read, with no array of answers."""
    bad = np.int64(0)
    data = pointer_to(values)
    zero = number(data, 0.0)
    for i in range(values.size):
        difference = load(data, i) - load(data, i)  # 0, but NaN where not finite
        bad |= np.int64(difference != zero)
    return bad == 0
