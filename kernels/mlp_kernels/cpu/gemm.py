"""C = A @ B for any two matrices: the best rung of the ladder behind one function.

Three loops around the register tile keep each operand in the cache that feeds it (Goto and van de Geijn,
"Anatomy of high-performance matrix multiplication", 2008):

    for a block of `columns` columns of B and C           B's panels stay in the last-level cache
        for a block of `depth` steps of K                 pack B[depth, columns]
            for a block of `rows` rows of A and C         pack A[rows, depth], which stays in L2
                for each panel of B                       which stays in L1
                    for each panel of A: one tile

Threads divide C among them and share nothing: no barrier, no lock. An element of C is the same sum in the
same order whoever computes it, so the bits don't depend on the number of threads.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import typeof_impl

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.features import tile_for
from mlp_kernels.cpu.packing import pack_columns, pack_rows
from mlp_kernels.cpu.register_tile import multiply_tile
from mlp_kernels.cpu.tile import Tile

Array: TypeAlias = npt.NDArray[Any]


@kernel
def multiply_blocked(
    tile: Tile,
    a: int,
    a_row: int,
    a_step: int,
    b: int,
    b_step: int,
    b_column: int,
    c: int,
    c_row: int,
    rows: int,
    columns: int,
    depth: int,
    block_rows: int,
    block_columns: int,
    block_depth: int,
    packed_a: int,
    packed_b: int,
) -> None:
    """C (rows, columns) = A (rows, depth) @ B (depth, columns), depth >= 1, from addresses and byte strides."""
    size = tile.element_bytes
    for j0 in range(0, columns, block_columns):
        n = min(block_columns, columns - j0)
        for k0 in range(0, depth, block_depth):
            k = min(block_depth, depth - k0)
            pack_columns(tile, b + k0 * b_step + j0 * b_column, b_step, b_column, k, n, packed_b)
            for i0 in range(0, rows, block_rows):
                m = min(block_rows, rows - i0)
                pack_rows(tile, a + i0 * a_row + k0 * a_step, a_row, a_step, m, k, packed_a)
                block = c + i0 * c_row + j0 * size
                for j in range(0, n, tile.columns):
                    panel_b = packed_b + j * k * size
                    panel_a = packed_a
                    for i in range(0, m, tile.rows):
                        multiply_tile(
                            tile, panel_a, panel_b, block + i * c_row + j * size, c_row, k, m - i, n - j, k0
                        )
                        panel_a += k * tile.panel_rows * size
