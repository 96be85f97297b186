"""Rung 4, the register tile: a block of C that stays in vector registers while all of K goes by.

One step of k multiplies a column of A by a row of B and adds the outer product to the block,

    C[i, j] += A[i, k] * B[k, j]        for i < R, j < V*L,

with R*V multiply-adds for R + V loads: R elements of A, each broadcast to all L lanes, and V vectors of B.

    registers      B[k, 0:L]   B[k, L:2L]          memory
    A[0, k] -->      C 0,0        C 0,1            a:  A[i, k] at a + i * a_row + k * a_depth
    A[1, k] -->      C 1,0        C 1,1            b:  | B[0, 0:V*L] | B[1, 0:V*L] | ...  packed
      ...             ...          ...             c:  row i at c + i * c_row_bytes
    A[R-1, k] ->     C R-1,0      C R-1,1

The plain reference is `reference` below. Nothing here assumes that a size is a multiple of anything: of the
block that is computed, the first `rows` x `columns` elements are written and no others are touched. What the
operands hold beyond them may be anything: lanes never mix, so a NaN there stays there.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_kernels.cpu.prefetch import Prefetch, Step
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index, unroll

Array: TypeAlias = npt.NDArray[Any]
Block: TypeAlias = list[ir.Value]


def reference(a: Array, b: Array, c: Array | None = None) -> Array:
    """What a tile computes, for A (rows, K) and B (K, columns): C + A @ B, one outer product a step.

    >>> reference(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    block = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        block += np.outer(a[:, k], b[k])
    return block if c is None else c + block


def accumulate(
    v: Vectors,
    a: ir.Value,
    b: ir.Value,
    depth: ir.Value,
    *,
    a_rows: Sequence[Step],
    a_depth: Step,
    b_depth: Step,
    vectors: int,
    start: Block,
    prefetches: Sequence[Prefetch] = (),
) -> Block:
    """Emit the loop over k; returns the accumulators, row by row, `vectors` a row.

    `a` and `b` point to elements; `a_rows` are the offsets of the rows of A from the first, `a_depth` and
    `b_depth` the steps from one k to the next, all in elements, constants where they can be. `depth` is at
    least 1. The sums begin at `start`. Each step prefetches a line of each of `prefetches`.
    """
    builder = v.builder
    before = builder.block
    loop, after = builder.append_basic_block("depth"), builder.append_basic_block("depth_done")
    builder.branch(loop)
    builder.position_at_end(loop)

    def carried(start: ir.Value) -> ir.Value:
        value = builder.phi(start.type)
        value.add_incoming(start, before)
        return value

    k, a_here, b_here, *lines = (carried(value) for value in (index(0), a, b, *(each.place for each in prefetches)))
    block = [carried(value) for value in start]

    for line, each in zip(lines, prefetches, strict=True):
        v.prefetch(line, to_write=each.near, near=each.near)
    row_of_b = [v.load(b_here, j * v.lanes) for j in range(vectors)]
    results = []
    for i, offset in enumerate(a_rows):
        element = v.broadcast(a_here, offset)
        results += [v.multiply_add(element, row_of_b[j], block[i * vectors + j]) for j in range(vectors)]

    k_next = builder.add(k, index(1))
    lines_next = [v.address(line, each.pace) for line, each in zip(lines, prefetches, strict=True)]
    for value, following in zip(
        [k, a_here, b_here, *lines, *block],
        [k_next, v.address(a_here, a_depth), v.address(b_here, b_depth), *lines_next, *results],
        strict=True,
    ):
        value.add_incoming(following, loop)
    again = builder.cbranch(builder.icmp_signed("<", k_next, depth), loop, after)
    if vectors == 1:
        # LLVM would unroll a loop this short four times, run out of registers for the offsets into A, and lose a
        # third of the speed. The longer loop of two vectors it unrolls twice, which gains 1 %.
        unroll(again, 1)
    elif lines and v.tile.rows >= 8:
        # Too long for LLVM, but not for the 32 registers that a tile of eight rows is made for.
        unroll(again, 2)
    builder.position_at_end(after)
    return results


C_STEPS = 192
"""C is prefetched so many steps before the sums end. Of what is prefetched at the first step, what passes through the
caches until the last pushes a part out again, most of all where rows of C lie a power of two apart, for those share
few places of a cache."""


class Destination:
    """The block of C that a tile belongs to: `rows` x `columns` elements, the rows `row_bytes` apart.

    The tile itself has `most_rows` rows of `vectors` vectors.
    """

    def __init__(
        self,
        v: Vectors,
        c: ir.Value,
        row_bytes: ir.Value,
        rows: ir.Value,
        columns: ir.Value,
        most_rows: int,
        vectors: int,
    ) -> None:
        builder = v.builder
        self.v, self.rows, self.vectors = v, rows, vectors
        self.row = [v.pointer(builder.add(c, builder.mul(index(i), row_bytes))) for i in range(most_rows)]
        self.masks = [v.first_lanes(builder.sub(columns, index(j * v.lanes))) for j in range(vectors)]
        self.whole = builder.and_(
            builder.icmp_signed(">=", rows, index(most_rows)),
            builder.icmp_signed(">=", columns, index(vectors * v.lanes)),
        )

    def prefetch(self) -> None:
        """Prefetch the block while the multiply-adds run; rows beyond the last do no harm."""
        for row in self.row:
            for j in range(self.vectors):
                self.v.prefetch_for_write(row, j * self.v.lanes + self.v.lanes - 1)

    def add_to(self, block: Block, condition: ir.Value) -> Block:
        """`block` plus what C holds, where the condition is true."""
        builder = self.v.builder
        ragged = builder.and_(condition, builder.not_(self.whole))
        block = self.v.when(builder.and_(condition, self.whole), block, lambda old: self._plus(old, self._load))
        return self.v.when(ragged, block, lambda old: self._plus(old, self._load_masked))

    def store(self, block: Block) -> None:
        """Write the block, and no element beyond its last row and column."""
        with self.v.builder.if_else(self.whole) as (whole, ragged):
            with whole:
                for i, j, value in self._places(block):
                    self.v.store(value, self.row[i], j * self.v.lanes)
            with ragged:
                for i, j, value in self._places(block):
                    self.v.masked_store(value, self.row[i], j * self.v.lanes, self._mask(i, j))

    def _places(self, block: Block) -> list[tuple[int, int, ir.Value]]:
        return [(*divmod(place, self.vectors), value) for place, value in enumerate(block)]

    def _plus(self, block: Block, load: Callable[[int, int], ir.Value]) -> Block:
        return [self.v.builder.fadd(value, load(i, j)) for i, j, value in self._places(block)]

    def _load(self, i: int, j: int) -> ir.Value:
        return self.v.load(self.row[i], j * self.v.lanes)

    def _load_masked(self, i: int, j: int) -> ir.Value:
        return self.v.masked_load(self.row[i], j * self.v.lanes, self._mask(i, j))

    def _mask(self, i: int, j: int) -> ir.Value:
        none = ir.Constant(self.masks[j].type, None)
        return self.v.builder.select(self.v.builder.icmp_signed(">", self.rows, index(i)), self.masks[j], none)


def narrowest(builder: ir.IRBuilder, tile: Tile, columns: ir.Value, emit: Callable[[Vectors, int], None]) -> None:
    """Emit a tile of all its vectors, of half as many and so on, and of half of one.

    The narrowest that has `columns` is run. `emit` gets the vectors to work with and how many of them make a row.
    """
    half = Vectors(builder, tile, tile.half_lanes)

    def emit_from(vectors: int) -> None:
        fewer = vectors // 2
        enough = fewer * tile.lanes if fewer else half.lanes
        with builder.if_else(builder.icmp_signed(">", columns, index(enough))) as (wide, narrow):
            with wide:
                emit(Vectors(builder, tile), vectors)
            with narrow:
                if fewer:
                    emit_from(fewer)
                else:
                    emit(half, 1)

    emit_from(tile.vectors)


def of_rows(
    builder: ir.IRBuilder, tile: Tile, rows: ir.Value, columns: ir.Value, emit: Callable[[int, Vectors, int], None]
) -> None:
    """Emit a tile for each number of rows that `blocks.next_rows` gives; that of `rows` is run.

    `emit` gets the number, and what `narrowest` hands on. A tall tile is always of all its vectors.
    """

    def emit_others() -> None:
        with builder.if_else(builder.icmp_signed(">", rows, index(tile.few_rows))) as (most, few):
            with most:
                narrowest(builder, tile, columns, partial(emit, tile.rows))
            with few:
                narrowest(builder, tile, columns, partial(emit, tile.few_rows))

    if not tile.tall_rows:
        emit_others()
        return
    with builder.if_else(builder.icmp_signed(">", rows, index(tile.rows))) as (tall, others):
        with tall:
            emit(tile.tall_rows, Vectors(builder, tile), tile.vectors)
        with others:
            emit_others()


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def multiply_tile(
    _context: Any,
    tile: Any,
    epilogue: Any,
    a: Any,
    a_row: Any,
    a_depth: Any,
    b: Any,
    bias: Any,
    c: Any,
    c_row_bytes: Any,
    depth: Any,
    rows: Any,
    columns: Any,
    add: Any,
    last: Any,
) -> Any:
    """One tile: C = A @ B, or C += A @ B where `add`; then the epilogue where `last`.

    `a`, `b`, `bias` and `c` are addresses, those of the tile's first elements. B is a packed panel; A may lie
    anywhere, its rows `a_row` elements apart and its columns `a_depth`: rows are read side by side, each of
    them in order, which caches do well without packing. `depth`, `rows` and `columns`
    are at least 1, and those beyond the tile are left to other tiles. At the edges of C, where few rows or columns
    are left, smaller tiles do less work in vain: half of the rows or `tile.few_rows`, one vector or half of one.
    """
    signature = types.void(tile, epilogue, *[types.int64] * 10, types.boolean, types.boolean)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, a, a_row, a_depth, b, bias, c, c_row_bytes, depth, rows, columns, add, last = arguments

        def emit(most_rows: int, v: Vectors, vectors: int) -> None:
            # Rows beyond the last are computed too: from the last, for there may be no memory beyond.
            last_row = builder.sub(rows, index(1))
            within = [builder.icmp_signed("<", index(i), rows) for i in range(1, most_rows)]
            nearest = [builder.select(inside, index(i), last_row) for i, inside in enumerate(within, start=1)]
            a_rows: list[Step] = [0, *(builder.mul(i, a_row) for i in nearest)]
            to = Destination(v, c, c_row_bytes, rows, columns, most_rows, vectors)
            late = builder.select(builder.icmp_signed("<", depth, index(C_STEPS)), depth, index(C_STEPS))
            early = builder.sub(depth, late)
            steps = {"a_rows": a_rows, "a_depth": a_depth, "b_depth": v.tile.columns, "vectors": vectors}

            def sum_early(zeros: Block) -> Block:
                return accumulate(v, v.pointer(a), v.pointer(b), early, start=zeros, **steps)

            zeros = [v.constant(0.0)] * (most_rows * vectors)
            block = v.when(builder.icmp_signed(">", early, index(0)), zeros, sum_early)
            to.prefetch()
            late_a = v.address(v.pointer(a), builder.mul(early, a_depth))
            late_b = v.address(v.pointer(b), builder.mul(early, index(v.tile.columns)))
            block = accumulate(v, late_a, late_b, late, start=block, **steps)
            block = to.add_to(block, add)
            to.store(v.when(last, block, lambda sums: epilogue.value.emit(sums, to, bias)))

        # At the last rows all columns of a tile are worked on: few tiles lie in a corner of C.
        least, half = tile.value.few_rows, max(tile.value.few_rows, tile.value.rows // 2)
        whole = Vectors(builder, tile.value)
        with builder.if_else(builder.icmp_signed(">", rows, index(half))) as (many, less):
            with many:
                narrowest(builder, tile.value, columns, partial(emit, tile.value.rows))
            with less, builder.if_else(builder.icmp_signed(">", rows, index(least))) as (some, few):
                with some:
                    emit(half, whole, tile.value.vectors)
                with few:
                    emit(least, whole, tile.value.vectors)
        return context.get_dummy_value()

    return signature, generate
