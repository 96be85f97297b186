"""The shuffled mini-batch, gathered from a data set of any number type and layout straight into panels.

    X (N, D), rows `order[i]`              panels [ceil(n/w)][D'][w]
    | sample 7 |  x0 x1 x2 ...             feature 0:  x0 of samples 7, 2, 9, ...   w lanes
    | sample 2 |  x0 x1 x2 ...      -->    feature 1:  x1 of samples 7, 2, 9, ...
    | sample 9 |  x0 x1 x2 ...             ...

A data set is an address, two strides in bytes and the code for its type; nothing of its size is copied. Where the
features of a sample are neighbours in memory, squares of `lanes` x `lanes` are transposed in registers; what is left of
them, or lies otherwise, goes row by row. There, lanes beyond the last sample repeat it. What other lanes beyond it hold
is no matter: nothing that a lane computes leaves it.

Plain reference: of panel b of features, `X[order[b * w : (b + 1) * w]].T`, and likewise of targets; compared by
`tests/kernels/test_gather.py`. Of shares, `Loss.shares` in `mlp_scratch/losses/base.py`; compared by
`tests/backends/test_parity.py`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, pointer_at, pointer_like, shift, size_of, store
from mlp_kernels.cpu.native import FLOATS, INT, INTS, address, call
from mlp_kernels.cpu.squares import gather_block, gather_row, prefetch
from mlp_kernels.cpu.tile import Tile

Array: TypeAlias = npt.NDArray[Any]
Ints: TypeAlias = npt.NDArray[np.int64]

TYPES = ("float32", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
"""The number types that are read as they lie in memory."""

SINGLY = 2
"""Samples up to which elements are copied one by one: a square would be transposed for one or two of its rows."""

LINE = 64
"""Bytes of a cache line."""

ADDRESS, ROW_STRIDE, COLUMN_STRIDE, GATHER, LABELS = range(5)
"""The fields of a data set's description, int64; GATHER is the address of the code that reads its number type, LABELS
1 where it is one column of class indices, else 0."""


@cache
def gather_of(kind: Callable[..., Any]) -> Callable[..., None]:
    """The gathering of features `begin` to `end` of panel `b` of a batch from data of the NumPy scalar type `kind`.

    The batch is the `n` samples that `order` points at; panels are `rows` rows. `sources` has room for w addresses.
    """

    def gather(
        tile: Tile, data: Any, begin: int, end: int, order: Any, n: int, rows: int, b: int, x: Any, sources: Any
    ) -> None:
        width, lanes, size = tile.columns, tile.lanes, size_of(kind)
        find_samples(tile, data, order, n, b, sources)
        panel, here, step = shift(x, b * rows * width), min(width, n - b * width), load(data, COLUMN_STRIDE)
        done = begin
        if step == size and here > SINGLY:
            done = begin + (end - begin) // lanes * lanes
            for j in range(0, here, lanes):  # along the features first: of few samples at a time the CPU reads ahead
                for k in range(begin, done, lanes):
                    gather_block(tile, kind, shift(sources, j), k * size, shift(panel, k * width + j))
        elif step == size:  # one after the other, each line of a sample would have to be waited for
            for j in range(here):
                for byte in range(begin * size, end * size, LINE):
                    prefetch(tile, load(sources, j) + byte)
        for k in range(done, end):
            if here > SINGLY:
                for j in range(0, here, lanes):
                    gather_row(tile, kind, shift(sources, j), k * step, shift(panel, k * width + j))
            else:
                for j in range(here):
                    store(panel, k * width + j, load(pointer_at(load(sources, j) + k * step, kind), 0))

    return gather


@kernel
def find_samples(tile: Tile, data: Any, order: Any, n: int, b: int, sources: Any) -> None:
    """The addresses of the samples of panel `b`, w of them; beyond the last sample those of the last."""
    width = tile.columns
    address, step, first = load(data, ADDRESS), load(data, ROW_STRIDE), shift(order, b * width)
    here = min(width, n - b * width)
    for j in range(here):
        store(sources, j, address + load(first, j) * step)
    for j in range(here, width):
        store(sources, j, load(sources, here - 1))


def describe(X: Array, tile: Tile) -> Ints:
    """A data set for `gather`: samples (N, D) or targets (N, K) of one of `TYPES`, or class indices (N,), int64."""
    code = address(gather_of(_scalar(X)), (INTS, INT, INT, INTS, INT, INT, INT, FLOATS, INTS), tile)
    labels = X.ndim == 1
    return np.array([_address(X), X.strides[0], 0 if labels else X.strides[1], code, labels], np.int64)


def describe_weights(w: Array | None) -> Ints:
    """Sample weights (N,) of the network's float type, or none."""
    return np.array([0, 0] if w is None else [_address(w), w.strides[0]], np.int64)


def _scalar(X: Array) -> Callable[..., Any]:
    return X.dtype.type


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


@kernel
def gather_targets(
    tile: Tile, data: Any, outputs: int, order: Any, n: int, b: int, smoothing: float, t: Any, sources: Any
) -> None:
    """The targets of panel `b`: class labels as one row of floats, or the network's real numbers, one row an output.

    Of real numbers, smoothing mixes p with the uniform: (1 - ε) p + ε / C; of labels the loss does. `sources` has room
    for w addresses.
    """
    labels = load(data, LABELS) != 0
    if labels or outputs == 1:  # a call would take as long again
        find_samples(tile, data, order, n, b, sources)
        for j in range(0, tile.columns, tile.lanes):
            if labels:
                gather_row(tile, np.int64, shift(sources, j), 0, shift(t, j))
            else:
                gather_row(tile, t, shift(sources, j), 0, shift(t, j))
    else:  # with 0 rows from panel to panel, every panel goes to where the first one would
        call(load(data, GATHER), (tile, data, 0, outputs, order, n, 0, b, t, sources))
    if smoothing != 0.0 and not labels:
        low, rest = number(t, smoothing / outputs), number(t, 1.0 - smoothing)
        for i in range(outputs * tile.columns):
            store(t, i, rest * load(t, i) + low)


@kernel
def gather_shares(
    tile: Tile, weights: Any, order: Any, n: int, b: int, largest: float, total: float, shares: Any
) -> None:
    """The shares of panel `b`: w / Σ w, or 1 / n where there are no weights; 0 beyond the last sample.

    `largest` and `total` are those of `total_weight`.
    """
    width, here = tile.columns, min(tile.columns, n - b * tile.columns)
    equal, zero = number(shares, 1.0 / n), number(shares, 0.0)
    for j in range(width):
        store(shares, j, equal if j < here else zero)
    if load(weights, ADDRESS) != 0:
        for j in range(here):
            row = load(weights, ADDRESS) + load(order, b * width + j) * load(weights, ROW_STRIDE)
            w = float(load(pointer_like(row, shares), 0))
            store(shares, j, number(shares, w / largest / total) if total > 0.0 else zero)


@kernel
def total_weight(weights: Any, order: Any, n: int, like: Any) -> Any:
    """The largest weight of a batch and Σ w / that, so that no sum overflows; 0 and 0 without any. In float64."""
    largest = total = 0.0
    address, step = load(weights, ADDRESS), load(weights, ROW_STRIDE)
    if address != 0:
        for i in range(n):
            largest = max(largest, float(load(pointer_like(address + load(order, i) * step, like), 0)))
        for i in range(n if largest > 0.0 else 0):
            total += float(load(pointer_like(address + load(order, i) * step, like), 0)) / largest
    return largest, total
