"""Slabs: the part of an operand that a block works with, brought to shared memory in the order of its use.

A block needs `width` rows of op(A), and as many columns of op(B), over `depth` steps of K. In memory, K runs along
the rows of a matrix or down its columns. A slab by K has a row for each step of K, one by rows is as in memory:

    in memory, K along rows     K down columns           slab by K                      slab by rows
    | k0 k1 k2 ...  r0          | r0 r1 r2 ...  k0       | r0 r1 r2 ... | padding | k0  | k0 k1 k2 ... | padding | r0
    | k0 k1 k2 ...  r1          | r0 r1 r2 ...  k1       | r0 r1 r2 ... | padding | k1  | k0 k1 k2 ... | padding | r1
      A of NN and NT,             A of TN,
      B of NT                     B of NN and TN

Register tiles read neighbours in rows and want slabs by K, whatever the layout. Tensor cores read single numbers and
take what is quickest to copy. What lies beyond an edge of the operand becomes zeros, which add nothing, so that the
multiplication knows no edges. The plain reference is `reference`.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
    """The slab by K of an operand (rows, K), without padding: shape (depth, width).

    >>> reference(np.array([[1, 2], [3, 4]]), 1, 0, 2, 3)
    array([[3, 0],
           [4, 0],
           [0, 0]])
    """
    slab = np.zeros((depth, width), operand.dtype)
    part = operand[first_row : first_row + width, first_k : first_k + depth].T
    slab[: part.shape[0], : part.shape[1]] = part
    return slab


@dataclass(frozen=True, slots=True)
class Slab:
    """Where the element of a row and a step of K lies: at row · `row_step` + k · `k_step`.

    Attributes:
        width, depth: rows and steps of K.
        k_along_rows: how the operand is stored.
        by_k: whether a row of the slab is a step of K.
        padding: elements between one row of the slab and the next.
        threads: threads that bring it.
    """

    width: int
    depth: int
    k_along_rows: bool
    by_k: bool
    padding: int
    threads: int

    @property
    def row_step(self) -> int:
        """From row to row of the operand."""
        return 1 if self.by_k else self.depth + self.padding

    @property
    def k_step(self) -> int:
        """From one step of K to the next."""
        return self.width + self.padding if self.by_k else 1

    @property
    def size(self) -> int:
        """Elements of the slab."""
        return self.depth * self.k_step if self.by_k else self.width * self.row_step

    def lines(self, each: int) -> tuple[int, int]:
        """How it is fetched: pieces of `each` elements in a line that lies together in memory, and lines.

        A thread has one place in the line and takes line after line, so that its addresses are one address and
        multiples of the row's length.
        """
        along, lines = (self.depth, self.width) if self.k_along_rows else (self.width, self.depth)
        if along % each or self.threads % (along // each):
            raise ValueError(
                f"tile: got {self.threads} threads for lines of {along} elements, expected a multiple; "
                "make the tile's rows, columns and depth powers of two"
            )
        return along // each, lines


def slabs_for(tile: Tile, layout: Layout, *, by_k: bool) -> tuple[Slab, Slab]:
    """The slabs of A and B: by K, or as they lie in memory.

    Slabs by rows are padded with 4 numbers: with 16 steps of K, eight rows then begin 20 banks apart, all different.
    """
    slab_a, slab_b = (
        Slab(width, tile.depth, along, by_k or not along, tile.padding if by_k or not along else 4, tile.threads)
        for width, along in zip((tile.rows, tile.columns), K_ALONG_ROWS[layout], strict=True)
    )
    return slab_a, slab_b


def _make_walk(slab: Slab, each: int, bring: Callable[..., None]) -> Callable[..., None]:
    """A function of one thread of a block, all of which together bring a slab to shared memory.

    It is called as `walk(memory, place, source, step, first_row, first_k, rows, depth, thread)`: `place` is where
    the slab begins, `step` the distance from row to row of the operand as stored, `rows` and `depth` the sizes of all
    of op(A), or of op(B) turned. For each piece of `each` neighbours in memory, of which `left` lie within the operand
    (none if it isn't positive, all if it is `each` or more), it calls `bring(memory, at, source, source_at, left)`.
    """
    k_along_rows, k_step, row_step = slab.k_along_rows, slab.k_step, slab.row_step
    in_line, lines = slab.lines(each)
    at_once = slab.threads // in_line
    rounds = -(-lines // at_once)

    @device
    def walk(
        memory: Any,
        place: Any,
        source: Any,
        step: Any,
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
                row, k, at = first_row + row_in, first_k + k_in, place + k_in * k_step + row_in * row_step
                source_at = row * step + k if k_along_rows else k * step + row
                left = (depth - k if row < rows else 0) if k_along_rows else (rows - row if k < depth else 0)
                bring(memory, at, source, source_at, left)

    return walk


@cache
def make_loader(element: Any, slab: Slab, *, aligned: bool) -> Callable[..., None]:
    """The function of `_make_walk` for a slab by K, through registers.

    With `aligned`, four neighbours are read at once: the operand begins at a multiple of 16 bytes and its rows lie a
    multiple of 4 apart.
    """
    k_along_rows, k_step, zero = slab.k_along_rows, slab.k_step, element(0.0)

    @device
    def bring1(memory: Any, at: Any, source: Any, source_at: Any, left: Any) -> None:
        st1(memory, at, ld1(source, source_at) if left > 0 else zero)

    @device
    def four(source: Any, at: Any, left: Any) -> Any:
        if left >= 4:
            return ld4(source, at)
        v0 = ld1(source, at) if left > 0 else zero
        v1 = ld1(source, at + 1) if left > 1 else zero
        v2 = ld1(source, at + 2) if left > 2 else zero
        return v0, v1, v2, zero

    @device
    def bring4(memory: Any, at: Any, source: Any, source_at: Any, left: Any) -> None:
        v0, v1, v2, v3 = four(source, source_at, left)
        if k_along_rows:
            st1(memory, at, v0)
            st1(memory, at + k_step, v1)
            st1(memory, at + 2 * k_step, v2)
            st1(memory, at + 3 * k_step, v3)
        else:
            st4(memory, at, v0, v1, v2, v3)

    return _make_walk(slab, 4, bring4) if aligned else _make_walk(slab, 1, bring1)


@cache
def make_copier(slab: Slab, *, aligned: bool) -> Callable[..., None]:
    """The function of `_make_walk` by asynchronous copies: begun, and left to the caller to commit and to wait for.

    No register holds what is on its way. Copies can't turn four neighbours in K around: where K runs along rows and
    the slab is by K, they take one number at a time.
    """

    @device
    def bring1(memory: Any, at: Any, source: Any, source_at: Any, left: Any) -> None:
        copy1_async(memory, at, source, source_at, 1 if left > 0 else 0)

    @device
    def bring4(memory: Any, at: Any, source: Any, source_at: Any, left: Any) -> None:
        copy4_async(memory, at, source, source_at, min(4, max(0, left)))

    in_fours = aligned and not (slab.k_along_rows and slab.by_k)
    return _make_walk(slab, 4, bring4) if in_fours else _make_walk(slab, 1, bring1)
