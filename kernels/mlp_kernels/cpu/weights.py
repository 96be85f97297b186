"""Weights between the layout that users see and panels, and a look at what has become of them.

    W (H, D), row by row                     [ceil(H/w)][D'][w], W[h, d] at panel h // w, row d, lane h % w

Both directions go square by square, turned in registers, so that both sides are read and written in whole vectors.

Plain reference, where W fills its panels: `W.reshape(H // w, w, D).transpose(0, 2, 1)`; compared by
`tests/kernels/test_layer_tiles.py`.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, pointer_to, shift, store
from mlp_kernels.cpu.squares import turn_block
from mlp_kernels.cpu.threads import share
from mlp_kernels.cpu.tile import Tile


@kernel
def move(
    tile: Tile, flat: Any, vectors: Any, matrices: Any, packed: Any, back: bool, thread: int, threads: int
) -> None:
    """All parameters from the flat vector into the packed one, or `back`; the padding is left as it is.

    `vectors` has rows of (place in flat, place in packed, size), `matrices` of (place in flat, place in packed,
    outputs, inputs, rows of a panel), both int64. Threads share out the panels of each matrix; the first one has the
    vectors.
    """
    if thread == 0:
        move_vectors(flat, vectors, packed, back)
    for m in range(matrices.shape[0]):
        rows, panels = shift(pointer_to(flat), matrices[m, 0]), shift(pointer_to(packed), matrices[m, 1])
        outputs, inputs, panel_rows = matrices[m, 2], matrices[m, 3], matrices[m, 4]
        first, end = share((outputs + tile.columns - 1) // tile.columns, thread, threads)
        first, end = first * tile.columns, min(end * tile.columns, outputs)
        _move_matrix(tile, rows, first, end, inputs, panels, panel_rows, back)


@kernel
def turn(tile: Tile, flat: Any, matrices: Any, room: Any, back: bool, thread: int, threads: int) -> None:
    """Weights between rows and panels where they lie, each panel in the place of its rows.

    For that a panel has to have as many elements: `matrices` has rows of (place in flat, outputs, inputs), the outputs
    a multiple of the tile's columns. Threads share out the panels; each has a `room` of its own that holds the longest.
    """
    width, aside = tile.columns, pointer_to(room)
    for m in range(matrices.shape[0]):
        place, outputs, inputs = matrices[m, 0], matrices[m, 1], matrices[m, 2]
        first, end = share(outputs // width, thread, threads)
        for p in range(first, end):
            here = shift(pointer_to(flat), place + p * width * inputs)
            for i in range(width * inputs):
                store(aside, i, load(here, i))
            if back:
                _move_matrix(tile, here, 0, width, inputs, aside, inputs, back)
            else:
                _move_matrix(tile, aside, 0, width, inputs, here, inputs, back)


@kernel
def move_vectors(flat: Any, vectors: Any, packed: Any, back: bool) -> None:
    """The vectors among the parameters, biases and the like, as `move` has them."""
    for v in range(vectors.shape[0]):
        here, there = shift(pointer_to(flat), vectors[v, 0]), shift(pointer_to(packed), vectors[v, 1])
        for i in range(vectors[v, 2]):
            if back:
                store(here, i, load(there, i))
            else:
                store(there, i, load(here, i))


@kernel
def _move_matrix(
    tile: Tile, rows: Any, first: int, end: int, inputs: int, panels: Any, panel_rows: int, back: bool
) -> None:
    """Outputs `first` to `end` of W between rows of `inputs` weights and panels of `panel_rows` rows."""
    width, lanes = tile.columns, tile.lanes
    squares, whole = first + (end - first) // lanes * lanes, inputs // lanes * lanes
    for h in range(first, end):
        row, lane = shift(rows, h * inputs), shift(panels, h // width * panel_rows * width + h % width)
        if h < squares and h % lanes == 0:
            for d in range(0, whole, lanes):
                square, turned = shift(row, d), shift(lane, d * width)
                if back:
                    turn_block(tile, turned, width, square, inputs)
                else:
                    turn_block(tile, square, inputs, turned, width)
        for d in range(whole if h < squares else 0, inputs):
            if back:
                store(row, d, load(lane, d * width))
            else:
                store(lane, d * width, load(row, d))


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
