"""C = A @ B in blocks: three loops around the register tile keep each operand in the cache that feeds it.

They are those of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008:

    for a block of columns of B and C             packed B stays in the last-level cache
        for a block of steps of K                 pack B
            for a block of rows of A and C        pack A, which stays in L2
                for each panel of B               which stays in L1 or L2
                    for each panel of A           one tile
"""

from typing import NamedTuple

from mlp_kernels.cpu.blocks import even_block
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.few_columns import COLUMNS, PANELS, multiply_few_columns
from mlp_kernels.cpu.fused import Epilogue
from mlp_kernels.cpu.packing import pack_columns, pack_rows
from mlp_kernels.cpu.register_tile import multiply_tile
from mlp_kernels.cpu.tile import Tile

# Sizes of the blocks, about: a block of A of 96 rows and 448 steps takes 170 KB of L2 in float32, a panel of B 56 KB,
# and packed B 7 MB of L3. On a Zen 4 with L1 of 32 KB, 256 steps, whose panel of B would fit, were 2 % slower, half or
# twice as many rows 1 %.
_ROWS, _COLUMNS, _DEPTH = 96, 4096, 448

FEW_PANELS = 24
"""Panels of columns up to which packing A costs more than it saves."""


class Matrix(NamedTuple):
    """Where a matrix lies: its first element, and the bytes from there to the next row and to the next column."""

    address: int
    row_bytes: int
    column_bytes: int


class Blocks(NamedTuple):
    """The sizes of blocks, and where they are packed.

    Attributes:
        memory: an address at the start of a cache line.
        bytes_a, bytes_b: room for the panels of A and behind them for those of B, with what packing writes too much.
    """

    rows: int
    columns: int
    depth: int
    memory: int
    bytes_a: int
    bytes_b: int


@kernel
def blocks_for(tile: Tile, a: Matrix, rows: int, columns: int, depth: int) -> Blocks:
    """The blocks for a product, which has no memory yet.

    Those of K, and so the order of summation, follow from K alone.
    """
    block_rows = even_block(rows, _ROWS, tile.rows)
    block_columns = even_block(columns, _COLUMNS, tile.columns)
    block_depth = even_block(depth, _DEPTH, 1)
    bytes_a = (block_rows // tile.rows * block_depth + tile.lanes) * tile.panel_rows * tile.element_bytes
    if reads_rows(tile, a, columns):
        bytes_a = 0
    bytes_b = (block_columns // tile.columns * block_depth + tile.lanes) * tile.columns * tile.element_bytes
    return Blocks(block_rows, block_columns, block_depth, 0, whole_lines(bytes_a), whole_lines(bytes_b))


@kernel
def whole_lines(size: int) -> int:
    """The bytes of as many cache lines as `size` bytes need.

    >>> whole_lines(1), whole_lines(64)
    (64, 64)
    """
    return (size + 63) // 64 * 64


@kernel
def reads_rows(tile: Tile, a: Matrix, columns: int) -> bool:
    """Whether the tile reads A where it is: packed, it would be read for a few panels of B only."""
    size = tile.element_bytes
    return columns <= FEW_PANELS * tile.columns and a.column_bytes == size and a.row_bytes % size == 0


@kernel
def multiply_blocked(
    tile: Tile,
    epilogue: Epilogue,
    a: Matrix,
    b: Matrix,
    bias: int,
    c: Matrix,
    rows: int,
    columns: int,
    depth: int,
    blocks: Blocks,
) -> None:
    """C = epilogue(A @ B): C is `rows` x `columns`, A has `depth` columns, at least one.

    The elements of a row of C are neighbours and overlap no operand; `bias`, an address, is used if the epilogue has
    one. `blocks` may be those of a larger product of the same depth.
    """
    size = tile.element_bytes
    packed_a, packed_b = blocks.memory, blocks.memory + blocks.bytes_a
    for j0 in range(0, columns, blocks.columns):
        n = min(blocks.columns, columns - j0)
        for k0 in range(0, depth, blocks.depth):
            k = min(blocks.depth, depth - k0)
            block_b = b.address + k0 * b.row_bytes + j0 * b.column_bytes
            pack_columns(tile, block_b, b.row_bytes, b.column_bytes, k, n, packed_b)
            for i0 in range(0, rows, blocks.rows):
                m = min(blocks.rows, rows - i0)
                block_a = a.address + i0 * a.row_bytes + k0 * a.column_bytes
                if blocks.bytes_a == 0:
                    panels, a_row, a_depth, panel_bytes = block_a, a.row_bytes // size, 1, tile.rows * a.row_bytes
                else:
                    panels, a_row, a_depth, panel_bytes = packed_a, 1, tile.panel_rows, k * tile.panel_rows * size
                    pack_rows(tile, block_a, a.row_bytes, a.column_bytes, m, k, packed_a)
                for j in range(0, n, tile.columns):
                    column = (j0 + j) * size
                    _multiply_panel(
                        tile,
                        epilogue,
                        panels,
                        a_row,
                        a_depth,
                        panel_bytes,
                        packed_b + j * k * size,
                        bias + column,
                        c.address + i0 * c.row_bytes + column,
                        c.row_bytes,
                        k,
                        m,
                        n - j,
                        k0 > 0,
                        k0 + k == depth,
                        n - j <= COLUMNS and blocks.bytes_a > 0,
                    )


@kernel
def _multiply_panel(
    tile: Tile,
    epilogue: Epilogue,
    a: int,
    a_row: int,
    a_depth: int,
    panel_bytes: int,
    b: int,
    bias: int,
    c: int,
    c_row_bytes: int,
    depth: int,
    rows: int,
    columns: int,
    add: bool,
    last: bool,
    few_columns: bool,
) -> None:
    """A block of A times a panel of B, which has `columns` columns or more; see `multiply_tile` for the others."""
    if few_columns:
        for i in range(0, rows, PANELS * tile.rows):
            panels, to = a + i // tile.rows * panel_bytes, c + i * c_row_bytes
            multiply_few_columns(
                tile, epilogue, panels, panel_bytes, b, bias, to, c_row_bytes, depth, rows - i, columns, add, last
            )
        return
    for i in range(0, rows, tile.rows):
        panel, to = a + i // tile.rows * panel_bytes, c + i * c_row_bytes
        multiply_tile(
            tile, epilogue, panel, a_row, a_depth, b, bias, to, c_row_bytes, depth, rows - i, columns, add, last
        )
