"""The shuffled mini-batch, gathered from a data set of any number type and layout straight into panels.

    X (N, D), rows `order[i]`              panels [ceil(n/w)][D'][w]
    | sample 7 |  x0 x1 x2 ...             feature 0:  x0 of samples 7, 2, 9, ...   w lanes
    | sample 2 |  x0 x1 x2 ...      -->    feature 1:  x1 of samples 7, 2, 9, ...
    | sample 9 |  x0 x1 x2 ...             ...

A data set is an address, two strides in bytes and the number of its type; nothing of its size is copied. Where the
features of a sample are neighbours in memory, squares of `lanes` x `lanes` are transposed in registers. Lanes beyond
the last sample repeat it: they hold nothing that the data does not.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.layer_tiles import gather_block
from mlp_kernels.cpu.memory import load, number, pointer_at, pointer_like, shift, size_of, store
from mlp_kernels.cpu.tile import Tile

TYPES = ("float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
"""The number types that are read as they lie in memory, by number."""

INT64 = TYPES.index("int64")

ADDRESS, ROW_STRIDE, COLUMN_STRIDE, TYPE = range(4)
"""The fields of a data set's description, int64."""


@kernel
def gather(tile: Tile, data: Any, features: int, order: Any, n: int, rows: int, b: int, x: Any, sources: Any) -> None:
    """Panel `b` of the batch whose `n` samples `order` points at, `rows` rows apart from the next panel.

    `sources` has room for the addresses of w samples.
    """
    width = tile.columns
    for j in range(width):
        store(sources, j, data[ADDRESS] + load(order, min(b * width + j, n - 1)) * data[ROW_STRIDE])
    panel, kind, step = shift(x, b * rows * width), data[TYPE], data[COLUMN_STRIDE]
    if kind == 0:
        _gather(tile, np.float32, sources, step, features, panel)
    elif kind == 1:
        _gather(tile, np.float64, sources, step, features, panel)
    elif kind == 2:
        _gather(tile, np.uint8, sources, step, features, panel)
    elif kind == 3:
        _gather(tile, np.int8, sources, step, features, panel)
    elif kind == 4:
        _gather(tile, np.uint16, sources, step, features, panel)
    elif kind == 5:
        _gather(tile, np.int16, sources, step, features, panel)
    elif kind == 6:
        _gather(tile, np.uint32, sources, step, features, panel)
    elif kind == 7:
        _gather(tile, np.int32, sources, step, features, panel)
    elif kind == 8:
        _gather(tile, np.uint64, sources, step, features, panel)
    else:
        _gather(tile, np.int64, sources, step, features, panel)


@kernel
def _gather(tile: Tile, kind: Any, sources: Any, step: int, features: int, panel: Any) -> None:
    """One panel from w samples; `kind` is the NumPy scalar type of the data."""
    width, lanes, size = tile.columns, tile.lanes, size_of(kind)
    done = 0
    if step == size:
        done = features // lanes * lanes
        for k in range(0, done, lanes):
            for j in range(0, width, lanes):
                gather_block(tile, kind, shift(sources, j), k * size, shift(panel, k * width + j))
    for j in range(width):
        for k in range(done, features):
            value = load(pointer_at(load(sources, j) + k * step, kind), 0)
            store(panel, k * width + j, value)


@kernel
def gather_targets(tile: Tile, data: Any, outputs: int, order: Any, n: int, b: int, smoothing: float, t: Any) -> None:
    """The targets of panel `b`, one row an output: real numbers as they are, class indices as one-hot rows.

    Class indices are int64. Smoothing mixes p with the uniform: (1 - ε) p + ε / C.
    """
    width = tile.columns
    low, rest = number(t, smoothing / outputs), number(t, 1.0 - smoothing)
    for j in range(width):
        row = data[ADDRESS] + load(order, min(b * width + j, n - 1)) * data[ROW_STRIDE]
        if data[TYPE] == INT64:
            for c in range(outputs):
                store(t, c * width + j, low)
            label = load(pointer_at(row, np.int64), 0)
            store(t, label * width + j, rest + low)
        else:
            for c in range(outputs):
                p = load(pointer_like(row + c * data[COLUMN_STRIDE], t), 0)
                store(t, c * width + j, rest * p + low)


@kernel
def gather_shares(tile: Tile, weights: Any, order: Any, n: int, b: int, total: float, shares: Any) -> None:
    """The shares of panel `b`: w / Σ w, or 1 / n where there are no weights; 0 beyond the last sample."""
    for j in range(tile.columns):
        share = number(shares, 0.0)
        if b * tile.columns + j < n:
            share = number(shares, 1.0 / n)
            if weights[ADDRESS] != 0:
                row = weights[ADDRESS] + load(order, b * tile.columns + j) * weights[ROW_STRIDE]
                w = load(pointer_like(row, shares), 0)
                share = w / number(shares, total) if total > 0.0 else number(shares, 0.0)
        store(shares, j, share)


@kernel
def total_weight(tile: Tile, weights: Any, order: Any, n: int, like: Any) -> float:
    """Σ w of a batch, in float64."""
    total = 0.0
    if weights[ADDRESS] != 0:
        for i in range(n):
            row = weights[ADDRESS] + load(order, i) * weights[ROW_STRIDE]
            total += load(pointer_like(row, like), 0)
    return total
