"""One product by several threads: C is cut into shares, of which each thread computes one.

They share nothing, so there is no barrier and no lock. An element of C is the same sum in the same order whoever
computes it and wherever it lies, so its bits don't depend on the number of threads.

    C, 1025 x 1025, by two threads:     rows 0..511      64 panels of 8 rows
                                        rows 512..1024   64 panels, and a row that is hardly any work
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_kernels.cpu.blocked import Blocks, Matrix, blocks_for, multiply_blocked, reads_rows, whole_lines
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.fused import Epilogue
from mlp_kernels.cpu.memory import pointer_to, start_of
from mlp_kernels.cpu.native import address_of, call
from mlp_kernels.cpu.standby import PART, Words, hand_out, take_back
from mlp_kernels.cpu.tile import Tile

Array: TypeAlias = npt.NDArray[Any]


class Job(NamedTuple):
    """A product, as the words that the threads are handed.

    Attributes:
        a, a_row, a_column, b, b_row, b_column, c, c_row: of each `Matrix`; the columns of C are neighbours.
        bias: its address.
        rows, columns, depth: of the product.
        down, across: into how many shares its rows and its columns are cut.
        block_rows, block_columns, block_depth, memory, bytes_a, bytes_b: the `Blocks`; each share has as much memory.
    """

    a: int
    a_row: int
    a_column: int
    b: int
    b_row: int
    b_column: int
    c: int
    c_row: int
    bias: int
    rows: int
    columns: int
    depth: int
    down: int
    across: int
    block_rows: int
    block_columns: int
    block_depth: int
    memory: int
    bytes_a: int
    bytes_b: int


@kernel
def multiply_shared(tile: Tile, a: Array, b: Array, bias: Array, c: Array, function: int, boards: Words) -> None:
    """C = A @ B for arrays of the tile's dtype, by this thread and those that listen at `boards`.

    No size is 0; the rows of C are contiguous and overlap no operand. `function` is the address that `code_of` gives
    for the tile and an epilogue, which `bias` is used by if it has one.
    """
    (rows, columns), depth = c.shape, a.shape[1]
    shares = boards.size + 1
    first, second, result = _matrix(a), _matrix(b), _matrix(c)
    down, across = grid(tile, first, rows, columns, shares)
    height, width = _largest_share(tile, rows, columns, down, across)
    blocks = blocks_for(tile, first, height, width, depth)
    memory = np.empty(shares * (blocks.bytes_a + blocks.bytes_b) + 64, np.uint8)
    job = Job(
        first.address,
        first.row_bytes,
        first.column_bytes,
        second.address,
        second.row_bytes,
        second.column_bytes,
        result.address,
        result.row_bytes,
        start_of(bias),
        rows,
        columns,
        depth,
        down,
        across,
        blocks.rows,
        blocks.columns,
        blocks.depth,
        whole_lines(start_of(memory)),
        blocks.bytes_a,
        blocks.bytes_b,
    )
    words = np.empty(len(job), np.int64)
    for i in range(len(job)):
        words[i] = job[i]
    # Numba frees an array after the last line that names it, addresses taken from it or not: what works with the
    # memory is a function of its own, which borrows it for as long as it runs.
    _work(function, words, boards, memory)


@kernel
def _matrix(array: Array) -> Matrix:
    return Matrix(start_of(array), array.strides[0], array.strides[1])


@kernel
def _work(function: int, words: Words, boards: Words, _memory: Array) -> None:
    hand_out(boards, function, start_of(words))
    call(function, (pointer_to(words), 0))
    take_back(boards)


def code_of(tile: Tile, epilogue: Epilogue) -> int:
    """The address of the code that computes one share of a job."""
    return address_of(share_of(tile, epilogue), PART, f"products of {tile.dtype}")


@cache
def share_of(tile: Tile, epilogue: Epilogue) -> Callable[..., None]:
    """`multiply_share(words, part)`: one share of the job whose words lie there."""

    def multiply_share(words: Any, part: int) -> None:
        job = _job_at(words)
        i, j = part // job.across, part % job.across
        top, bottom = _edge_down(tile, job.rows, i, job.down), _edge_down(tile, job.rows, i + 1, job.down)
        left, right = (
            _edge_across(tile, job.columns, j, job.across),
            _edge_across(tile, job.columns, j + 1, job.across),
        )
        size = tile.element_bytes
        multiply_blocked(
            tile,
            epilogue,
            Matrix(job.a + top * job.a_row, job.a_row, job.a_column),
            Matrix(job.b + left * job.b_column, job.b_row, job.b_column),
            job.bias + left * size,
            Matrix(job.c + top * job.c_row + left * size, job.c_row, size),
            bottom - top,
            right - left,
            job.depth,
            Blocks(
                job.block_rows,
                job.block_columns,
                job.block_depth,
                job.memory + part * (job.bytes_a + job.bytes_b),
                job.bytes_a,
                job.bytes_b,
            ),
        )

    return multiply_share


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _job_at(_context: Any, words: Any) -> Any:
    """The job whose words lie there."""
    kind = types.NamedUniTuple(types.int64, len(Job._fields), Job)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.load(builder.bitcast(arguments[0], context.get_value_type(kind).as_pointer()), align=8)

    return kind(words), generate


@kernel
def grid(tile: Tile, a: Matrix, rows: int, columns: int, shares: int) -> Any:
    """Into how many shares the rows and the columns of C are cut: as equal as can be, then with as little to pack.

    Each thread packs its columns of B for itself, and its rows of A where they are packed.

    >>> tile = Tile(np.dtype("float64"), lanes=8, rows=8, vectors=2)
    >>> by_rows, by_columns = Matrix(0, 8000, 8), Matrix(0, 8, 8000)
    >>> grid(tile, by_rows, 64, 64, 4), grid(tile, by_columns, 64, 64, 4), grid(tile, by_columns, 64, 16, 4)
    ((1, 4), (2, 2), (4, 1))
    """
    best, least_area, least_packed = 1, 0, 0
    for down in range(shares, 0, -1):
        if shares % down == 0:
            height, width = _largest_share(tile, rows, columns, down, shares // down)
            area, packed = height * width, width if reads_rows(tile, a, width) else height + width
            if least_area == 0 or area < least_area or (area == least_area and packed < least_packed):
                best, least_area, least_packed = down, area, packed
    return best, shares // best


@kernel
def _largest_share(tile: Tile, rows: int, columns: int, down: int, across: int) -> Any:
    height = width = 0
    for i in range(down):
        height = max(height, _edge_down(tile, rows, i + 1, down) - _edge_down(tile, rows, i, down))
    for j in range(across):
        width = max(width, _edge_across(tile, columns, j + 1, across) - _edge_across(tile, columns, j, across))
    return height, width


@kernel
def _edge_down(tile: Tile, rows: int, share: int, shares: int) -> int:
    """The first row of a share."""
    return edge(rows, tile.rows, tile.few_rows, share, shares)


@kernel
def _edge_across(tile: Tile, columns: int, share: int, shares: int) -> int:
    """The first column of a share."""
    return edge(columns, tile.columns, tile.half_lanes, share, shares)


@kernel
def edge(total: int, unit: int, few: int, share: int, shares: int) -> int:
    """Where a share begins, with `total` cut at multiples of `unit`; one left over of at most `few` is no unit.

    >>> [edge(1025, 8, 2, share, 2) for share in range(3)]
    [0, 512, 1025]
    >>> [edge(1027, 8, 2, share, 2) for share in range(3)]
    [0, 512, 1027]
    """
    if share == shares:
        return total
    units = max(1, (total - few + unit - 1) // unit)
    return units * share // shares * unit
