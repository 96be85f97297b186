"""Slabs: the part of an operand that a block works with, brought to shared memory in the order of its use.

A block needs `width` rows of op(A), and as many columns of op(B), over `depth` steps of K. Either is stored in one of
two ways, and always comes to lie like this, so that all layouts share one multiplication:

    in memory, K along rows    K down columns         slab: a row for each step of K
    | k0 k1 k2 ...             | r0 r1 r2 ...   k0    | r0 r1 r2 ... | padding |    k0
    | k0 k1 k2 ...  r1         | r0 r1 r2 ...   k1    | r0 r1 r2 ... | padding |    k1
      A of NN and NT,            A of TN,
      B of NT                    B of NN and TN

What lies beyond an edge of the operand becomes zeros: they add nothing, so the multiplication knows no edges.
The plain reference is `reference`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_kernels.cuda.device import copy1_async, copy4_async, device, ld1, ld4, st1, st4
from mlp_kernels.cuda.tiles import Tile

Array: TypeAlias = npt.NDArray[Any]
Layout: TypeAlias = Literal["NN", "NT", "TN"]

K_ALONG_ROWS: dict[str, tuple[bool, bool]] = {"NN": (True, False), "NT": (True, True), "TN": (False, False)}
"""Whether K runs along the rows of A and of B as they are stored; N is for as it is, T for transposed."""


def reference(operand: Array, first_row: int, first_k: int, width: int, depth: int) -> Array:
    """The slab of an operand (rows, K), without padding: shape (depth, width).

    >>> reference(np.array([[1, 2], [3, 4]]), 1, 0, 2, 3)
    array([[3, 0],
           [4, 0],
           [0, 0]])
    """
    slab = np.zeros((depth, width), operand.dtype)
    part = operand[first_row : first_row + width, first_k : first_k + depth].T
    slab[: part.shape[0], : part.shape[1]] = part
    return slab


def _lines(tile: Tile, width: int, each: int, k_along_rows: bool) -> tuple[int, int]:
    """How a slab is fetched: pieces of `each` elements in a line that lies together in memory, and lines.

    A thread has one place in the line and takes the line after the next, and so on, so that all its addresses are one
    address and a multiple of the row's length.
    """
    along, lines = (tile.depth, width) if k_along_rows else (width, tile.depth)
    if along % each or tile.threads % (along // each):
        raise ValueError(f"tile: got {tile}, expected {tile.threads} threads for whole lines of {along} elements")
    return along // each, lines


@cache
def make_loader(element: Any, tile: Tile, width: int, *, k_along_rows: bool, aligned: bool) -> Callable[..., None]:
    """A function of one thread of a block, all of which together bring a slab to shared memory, through registers.

    It is called as `load(slab, place, source, row_step, first_row, first_k, rows, depth, thread)`: `place` is where
    the slab begins, `row_step` the distance from row to row of the operand as stored, `rows` and `depth` the sizes
    of all of op(A), or of op(B) turned. With `aligned`, four neighbours are read at once: the operand begins at a
    multiple of 16 bytes and `row_step` is a multiple of 4.
    """
    stride, threads = width + tile.padding, tile.threads
    each = 4 if aligned else 1
    in_line, lines = _lines(tile, width, each, k_along_rows)
    at_once = threads // in_line
    rounds = -(-lines // at_once)
    zero = element(0.0)

    @device
    def load(
        slab: Any,
        place: Any,
        source: Any,
        row_step: Any,
        first_row: Any,
        first_k: Any,
        rows: Any,
        depth: Any,
        thread: Any,
    ) -> None:
        first_line, in_it = thread // in_line, thread % in_line * each
        for i in range(rounds):
            line = first_line + i * at_once
            if line < lines:
                row_in, k_in = (line, in_it) if k_along_rows else (in_it, line)
                row, k, at = first_row + row_in, first_k + k_in, place + k_in * stride + row_in
                source_at = row * row_step + k if k_along_rows else k * row_step + row
                if each == 1:
                    st1(slab, at, ld1(source, source_at) if row < rows and k < depth else zero)
                elif k_along_rows:
                    v0, v1, v2, v3 = zero, zero, zero, zero
                    if row < rows and k + 3 < depth:
                        v0, v1, v2, v3 = ld4(source, source_at)
                    elif row < rows:
                        v0 = ld1(source, source_at) if k < depth else zero
                        v1 = ld1(source, source_at + 1) if k + 1 < depth else zero
                        v2 = ld1(source, source_at + 2) if k + 2 < depth else zero
                    st1(slab, at, v0)
                    st1(slab, at + stride, v1)
                    st1(slab, at + 2 * stride, v2)
                    st1(slab, at + 3 * stride, v3)
                else:
                    v0, v1, v2, v3 = zero, zero, zero, zero
                    if k < depth and row + 3 < rows:
                        v0, v1, v2, v3 = ld4(source, source_at)
                    elif k < depth:
                        v0 = ld1(source, source_at) if row < rows else zero
                        v1 = ld1(source, source_at + 1) if row + 1 < rows else zero
                        v2 = ld1(source, source_at + 2) if row + 2 < rows else zero
                    st4(slab, at, v0, v1, v2, v3)

    return load


@cache
def make_copier(element: Any, tile: Tile, width: int, *, k_along_rows: bool, aligned: bool) -> Callable[..., None]:
    """What `make_loader` makes, by asynchronous copies: begun, and left to the caller to commit and to wait for.

    No register holds what is on its way. A copy can't turn neighbours in K around, so those go one by one.
    """
    stride, threads = width + tile.padding, tile.threads
    each = 4 if aligned and not k_along_rows else 1
    in_line, lines = _lines(tile, width, each, k_along_rows)
    at_once = threads // in_line
    rounds = -(-lines // at_once)

    @device
    def load(
        slab: Any,
        place: Any,
        source: Any,
        row_step: Any,
        first_row: Any,
        first_k: Any,
        rows: Any,
        depth: Any,
        thread: Any,
    ) -> None:
        first_line, in_it = thread // in_line, thread % in_line * each
        for i in range(rounds):
            line = first_line + i * at_once
            if line < lines:
                row_in, k_in = (line, in_it) if k_along_rows else (in_it, line)
                row, k, at = first_row + row_in, first_k + k_in, place + k_in * stride + row_in
                source_at = row * row_step + k if k_along_rows else k * row_step + row
                if each == 4:
                    copy4_async(slab, at, source, source_at, min(4, max(0, rows - row)) if k < depth else 0)
                else:
                    copy1_async(slab, at, source, source_at, 1 if row < rows and k < depth else 0)

    return load
