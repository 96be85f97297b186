"""C = A @ B for any two matrices: the best rung of the ladder behind one function.

What it calls: `sharing` cuts C into shares for the threads, `blocked` takes a share in blocks that fit the caches,
`packing` copies those, and `register_tile` multiplies them, with what is `fused` into its store.
"""

from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import from_dtype, types

from mlp_kernels.cpu.constants import ConstantType
from mlp_kernels.cpu.features import tile_for
from mlp_kernels.cpu.fused import Activation, Epilogue
from mlp_kernels.cpu.sharing import code_of, multiply_shared
from mlp_kernels.cpu.standby import Helpers
from mlp_kernels.cpu.tile import Tile

Array: TypeAlias = npt.NDArray[Any]

WIDE_BYTES = 512
"""Of a row of C, from which on it fills a wide tile well: two such tiles of 512-bit vectors."""

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
    tile = tile or tile_for(a.dtype, wide=shape[1] >= WIDE_BYTES // a.itemsize)
    if tile.dtype != a.dtype:
        raise ValueError(f"tile: got one for {tile.dtype}, expected one for {a.dtype}")
    row = None if bias is None else np.ascontiguousarray(_fitting("bias", bias, a.dtype, (shape[1],)))
    if out is None:
        result = np.empty(shape, a.dtype)
        _multiply(a, b, row, result, activation, threads, tile)
        return result

    if not _fitting("out", out, a.dtype, shape).flags.writeable:
        raise ValueError("out: got a read-only array, expected one that can be written")
    overlaps = np.may_share_memory(out, a) or np.may_share_memory(out, b)
    if row is not None:
        overlaps = overlaps or np.may_share_memory(out, row)
    if overlaps or out.strides[1] != out.itemsize:  # the tile writes whole vectors along rows
        out[...] = gemm(a, b, bias=bias, activation=activation, threads=threads, tile=tile)
    else:
        _multiply(a, b, row, out, activation, threads, tile)
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


LEAST_WORK = 1_000_000
"""Operations from which on a second thread pays, if it listens."""

_NOBODY = np.empty(0, np.int64)


def _multiply(
    a: Array, b: Array, bias: Array | None, out: Array, activation: Activation, threads: int, tile: Tile
) -> None:
    (rows, depth), columns = a.shape, b.shape[1]
    if out.size == 0:
        return
    if depth == 0:  # an empty sum: one step of zeros makes it, epilogue and all
        a, b = np.zeros((rows, 1), a.dtype), np.zeros((1, columns), a.dtype)
    multiply, function, no_bias = _compiled(tile, bias is not None, activation)
    if bias is None:
        bias = no_bias
    if threads == 1 or 2 * rows * columns * depth < LEAST_WORK:
        multiply(tile, a, b, bias, out, function, _NOBODY)
        return
    with Helpers(threads - 1) as boards:
        multiply(tile, a, b, bias, out, function, boards)


@cache
def _compiled(tile: Tile, with_bias: bool, activation: Activation) -> tuple[Any, int, Array]:
    """`multiply_shared` for a tile, to be called with any arrays; the code of a share; and what stands for no bias.

    A call of the kernel itself would look up the types of its arguments (6 us) and compile once more for each
    combination of layouts. To the code made here every array has strides that are known when it runs.
    """
    element = from_dtype(tile.dtype)
    operand = types.Array(element, 2, "A", readonly=True)
    bias, out = types.Array(element, 1, "C", readonly=True), types.Array(element, 2, "A")
    boards = types.Array(types.int64, 1, "C")
    arguments = (ConstantType(tile), operand, operand, bias, out, types.int64, boards)
    function = code_of(tile, Epilogue(with_bias, activation))
    return multiply_shared.compile(arguments), function, np.empty(0, tile.dtype)
