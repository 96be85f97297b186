"""C = A @ B for any two matrices: the best rung of the ladder behind one function.

Three loops around the register tile keep each operand in the cache that feeds it (Goto and van de Geijn,
"Anatomy of high-performance matrix multiplication", 2008):

    for a block of columns of B and C             packed B stays in the last-level cache
        for a block of steps of K                 pack B
            for a block of rows of A and C        pack A, which stays in L2
                for each panel of B               which stays in L1
                    for each panel of A           one tile

Threads divide C among them and share nothing: no barrier, no lock. An element of C is the same sum in the
same order whoever computes it and wherever it lies, so its bits don't depend on the number of threads.
"""

from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from mlp_kernels.cpu.blocks import even_block
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.constants import ConstantType
from mlp_kernels.cpu.features import tile_for
from mlp_kernels.cpu.fused import Activation, Epilogue
from mlp_kernels.cpu.packing import pack_columns, pack_rows
from mlp_kernels.cpu.register_tile import multiply_tile
from mlp_kernels.cpu.standby import BELL, at_once, ring
from mlp_kernels.cpu.tile import Tile

Array: TypeAlias = npt.NDArray[Any]

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def gemm(
    a: Array,
    b: Array,
    out: Array | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: Array | None = None,
    activation: Activation = "identity",
    threads: int = 1,
    tile: Tile | None = None,
) -> Array:
    """`f(A @ B + bias)`, with A and B transposed first where asked.

    The three products of training are

        Y = X @ W.T + b     gemm(X, W, transpose_b=True, bias=b)
        dX = dY @ W         gemm(dY, W)
        dW = dY.T @ X       gemm(dY, X, transpose_a=True)

    `a` (M, K) and `b` (K, N) are float32 or float64, both the same, of any size and memory layout: nothing is
    copied but blocks that fit the caches. `bias` has shape (N,). The result, (M, N), is new and C-contiguous,
    or `out` itself, which may have any layout and overlap the operands. K = 0 makes a matrix of zeros, plus
    the bias. NaN and infinity go where the sums take them. `threads` (at least 1) doesn't change the bits;
    `tile` replaces the one chosen for this CPU.

    Raises `TypeError` for other dtypes and `ValueError` for shapes that don't fit.

    >>> gemm(np.array([[1.0, 2.0]]), np.array([[3.0], [-4.0]]))
    array([[-5.]])
    >>> gemm(np.ones((2, 3)), np.ones((2, 3)), transpose_b=True, bias=np.array([0.0, -9.0]), activation="relu")
    array([[3., 0.],
           [3., 0.]])
    """
    a = _matrix("a", a).T if transpose_a else _matrix("a", a)
    b = _matrix("b", b).T if transpose_b else _matrix("b", b)
    _fitting("b", b, a.dtype, b.shape)
    if a.shape[1] != b.shape[0]:
        raise ValueError(
            f"b: got shape {b.shape} for the product with {a.shape}, expected {a.shape[1]} rows; transpose one of them"
        )
    shape = (a.shape[0], b.shape[1])
    if threads < 1:
        raise ValueError(f"threads: got {threads}, expected at least 1")
    if activation not in ("identity", "relu"):
        raise ValueError(f"activation: got {activation!r}, expected 'identity' or 'relu'")
    tile = tile or tile_for(a.dtype)
    if tile.dtype != a.dtype:
        raise ValueError(f"tile: got one for {tile.dtype}, expected one for {a.dtype}")
    epilogue = Epilogue(bias is not None, activation)
    row = np.empty(0, a.dtype)
    if bias is not None:
        row = np.ascontiguousarray(_fitting("bias", bias, a.dtype, (shape[1],)))
    if out is None:
        result = np.empty(shape, a.dtype)
        _multiply(a, b, row, result, epilogue, threads, tile)
        return result

    if not _fitting("out", out, a.dtype, shape).flags.writeable:
        raise ValueError("out: got a read-only array, expected one that can be written")
    overlaps = any(np.may_share_memory(out, operand) for operand in (a, b, row))
    if overlaps or out.strides[1] != out.itemsize:  # the tile writes whole vectors along rows
        out[...] = gemm(a, b, bias=bias, activation=activation, threads=threads, tile=tile)
    else:
        _multiply(a, b, row, out, epilogue, threads, tile)
    return out


def _matrix(name: str, given: Array) -> Array:
    if not isinstance(given, np.ndarray) or given.dtype not in _DTYPES:
        kind = given.dtype if isinstance(given, np.ndarray) else type(given).__name__
        raise TypeError(f"{name}: got {kind}, expected an array of float32 or float64; convert it with astype")
    if given.ndim != 2:
        raise ValueError(f"{name}: got shape {given.shape}, expected 2 dimensions; reshape it")
    return given


def _fitting(name: str, given: Array, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if not isinstance(given, np.ndarray) or given.dtype != dtype:
        kind = given.dtype if isinstance(given, np.ndarray) else type(given).__name__
        raise TypeError(f"{name}: got {kind}, expected an array of {dtype} as a is; convert one of them with astype")
    if given.shape != shape:
        raise ValueError(f"{name}: got shape {given.shape}, expected {shape}")
    return given


# Sizes of the blocks, about: a block of A of 96 rows and 448 steps takes 170 KB of L2 in float32, a panel of B 56 KB,
# and packed B 7 MB of L3. On a Zen 4 with L1 of 32 KB, 256 steps, whose panel of B would fit, were 2 % slower, half or
# twice as many rows 1 %.
_ROWS, _COLUMNS, _DEPTH = 96, 4096, 448

LEAST_WORK = 10_000_000
"""Operations from which on a second thread pays: one has to be woken."""

_NO_BELL = np.empty(0, np.int64)

FEW_PANELS = 24
"""Panels of columns up to which packing A costs more than it saves."""


def _multiply(a: Array, b: Array, bias: Array, out: Array, epilogue: Epilogue, threads: int, tile: Tile) -> None:
    (rows, depth), columns = a.shape, b.shape[1]
    if out.size == 0:
        return
    if depth == 0:  # an empty sum: one step of zeros makes it, epilogue and all
        a, b = np.zeros((rows, 1), a.dtype), np.zeros((1, columns), a.dtype)
    multiply = _compiled(tile, epilogue)
    if threads == 1 or 2 * rows * columns * depth < LEAST_WORK:
        multiply(tile, epilogue, a, b, bias, out, _NO_BELL)
        return
    at_once(
        [
            partial(multiply, tile, epilogue, a[i], b[:, j], bias[j], out[i, j], BELL)
            for i, j in _shares(rows, columns, threads, tile)
        ]
    )


def _shares(rows: int, columns: int, threads: int, tile: Tile) -> list[tuple[slice, slice]]:
    """C cut into at most `threads` rectangles of whole tiles, as square as the count allows.

    The larger a share's edges, the more its thread packs for itself that another packs too.

    >>> _shares(100, 64, 2, Tile(np.dtype("float64"), lanes=8, rows=8, vectors=2))
    [(slice(0, 100, None), slice(0, 32, None)), (slice(0, 100, None), slice(32, 64, None))]
    """
    grids = [(down, threads // down) for down in range(1, threads + 1) if threads % down == 0]

    def share(grid: tuple[int, int]) -> tuple[int, int]:
        down, across = grid
        return (-(-rows // (down * tile.rows)) * tile.rows, -(-columns // (across * tile.columns)) * tile.columns)

    height, width = min(map(share, grids), key=lambda size: (size[0] * size[1], size[0] + size[1]))
    return [
        (slice(i, min(rows, i + height)), slice(j, min(columns, j + width)))
        for i in range(0, rows, height)
        for j in range(0, columns, width)
    ]


@cache
def _compiled(tile: Tile, epilogue: Epilogue) -> Any:
    """`multiply_blocked` for one tile and epilogue, to be called with any arrays.

    A call of the kernel itself would look up the types of its arguments (6 us) and compile once more for each
    combination of layouts. To the code made here every array has strides that are known when it runs.
    """
    element = from_dtype(tile.dtype)
    operand = types.Array(element, 2, "A", readonly=True)
    bias, out = types.Array(element, 1, "C", readonly=True), types.Array(element, 2, "A")
    bell = types.Array(types.int64, 1, "C")
    return multiply_blocked.compile((ConstantType(tile), ConstantType(epilogue), operand, operand, bias, out, bell))


@kernel
def multiply_blocked(tile: Tile, epilogue: Epilogue, a: Array, b: Array, bias: Array, c: Array, bell: Array) -> None:
    """C = epilogue(A @ B) for arrays of the tile's dtype, in blocks.

    No size is 0; the rows of C are contiguous and overlap no operand; `bias` is used if the epilogue has one.
    The blocks of K, and so the order of summation, follow from K alone. `bell` is `standby.BELL` where others wait.
    """
    if bell.size > 0:
        ring(bell)
    block_rows = even_block(c.shape[0], _ROWS, tile.rows)
    block_columns = even_block(c.shape[1], _COLUMNS, tile.columns)
    block_depth = even_block(a.shape[1], _DEPTH, 1)
    # The panels, and room for what packing writes too much and for a start on a cache line.
    size_a = (block_rows // tile.rows * block_depth + tile.lanes) * tile.panel_rows * tile.element_bytes
    if _reads_rows(tile, a, c.shape[1]):
        size_a = 0
    size_b = (block_columns // tile.columns * block_depth + tile.lanes) * tile.columns * tile.element_bytes
    memory_a, memory_b = np.empty(size_a + 64, np.uint8), np.empty(size_b + 64, np.uint8)
    # Numba frees an array after the last line that names it, addresses taken from it or not: the loops are a
    # function of their own, which borrows the memory for as long as it runs.
    _multiply_in(tile, epilogue, a, b, bias, c, block_rows, block_columns, block_depth, memory_a, memory_b)


@kernel
def _reads_rows(tile: Tile, a: Array, columns: int) -> bool:
    """Whether the tile reads A where it is: packed, it would be read for a few panels of B only."""
    size = tile.element_bytes
    return columns <= FEW_PANELS * tile.columns and a.strides[1] == size and a.strides[0] % size == 0


@kernel
def _multiply_in(
    tile: Tile,
    epilogue: Epilogue,
    a: Array,
    b: Array,
    bias: Array,
    c: Array,
    block_rows: int,
    block_columns: int,
    block_depth: int,
    memory_a: Array,
    memory_b: Array,
) -> None:
    size = tile.element_bytes
    (rows, columns), depth = c.shape, a.shape[1]
    packed_a = (memory_a.ctypes.data + 63) // 64 * 64
    packed_b = (memory_b.ctypes.data + 63) // 64 * 64
    read_rows = _reads_rows(tile, a, columns)
    for j0 in range(0, columns, block_columns):
        n = min(block_columns, columns - j0)
        for k0 in range(0, depth, block_depth):
            k = min(block_depth, depth - k0)
            block_b = b.ctypes.data + k0 * b.strides[0] + j0 * b.strides[1]
            pack_columns(tile, block_b, b.strides[0], b.strides[1], k, n, packed_b)
            for i0 in range(0, rows, block_rows):
                m = min(block_rows, rows - i0)
                block_a = a.ctypes.data + i0 * a.strides[0] + k0 * a.strides[1]
                if read_rows:
                    panels, a_row, a_depth, panel_bytes = block_a, a.strides[0] // size, 1, tile.rows * a.strides[0]
                else:
                    panels, a_row, a_depth, panel_bytes = packed_a, 1, tile.panel_rows, k * tile.panel_rows * size
                    pack_rows(tile, block_a, a.strides[0], a.strides[1], m, k, packed_a)
                for j in range(0, n, tile.columns):
                    column = (j0 + j) * size
                    for i in range(0, m, tile.rows):
                        multiply_tile(
                            tile,
                            epilogue,
                            panels + i // tile.rows * panel_bytes,
                            a_row,
                            a_depth,
                            packed_b + j * k * size,
                            bias.ctypes.data + column,
                            c.ctypes.data + (i0 + i) * c.strides[0] + column,
                            c.strides[0],
                            k,
                            m - i,
                            n - j,
                            k0 > 0,
                            k0 + k == depth,
                        )
