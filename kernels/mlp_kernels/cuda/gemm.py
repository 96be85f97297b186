"""C = epilogue(op(A) @ op(B)) on the GPU: the right rung, tile and precision behind one function.

    precision   operands in memory   products and sums                            off by, relative to |A| |B|
    float32     float32              float32                                      K · 2⁻²⁴
    3xtf32      float32              tensor cores, two tf32 numbers an operand    3 · 2⁻²² and the sums'
    tf32        float32              tensor cores, 10 bits of fraction            2 · 2⁻¹¹ and the sums'
    bf16        float32              tensor cores, 7 bits of fraction             2 · 2⁻⁸ and the sums'
    float64     float64              float64                                      K · 2⁻⁵³

Large tiles do more with each number they fetch, but a GPU has work for all of its multiprocessors only where there
are as many blocks: `choose` takes the largest tile that gives them that. An element of C is the same sum in the same
order in every run.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numba import cuda

from mlp_kernels.cuda import tensor_core, warp_tile
from mlp_kernels.cuda.device import IS_SIMULATOR, element_of
from mlp_kernels.cuda.epilogues import STORE, Epilogue
from mlp_kernels.cuda.slabs import Layout
from mlp_kernels.cuda.tiles import Tile

Precision: TypeAlias = Literal["float32", "tf32", "3xtf32", "bf16", "float64"]

_LARGE = Tile(128, 128, 16, warp_rows=64, warp_columns=32)
_MIDDLE = Tile(64, 64, 16, warp_rows=32, warp_columns=32, lane_rows=4, lane_columns=8)
_SMALL = Tile(32, 32, 16, warp_rows=32, warp_columns=16, lane_rows=4, lane_columns=4)


def _for_tensor_cores(padding: int) -> tuple[Tile, ...]:
    return (
        Tile(128, 128, 16, warp_rows=64, warp_columns=32, padding=padding),
        Tile(64, 64, 16, warp_rows=32, warp_columns=32, padding=padding),
        Tile(32, 32, 16, warp_rows=16, warp_columns=16, padding=padding),
    )


TILES: dict[str, tuple[Tile, ...]] = {
    "float32": (_LARGE, _MIDDLE, _SMALL),
    "tf32": _for_tensor_cores(8),
    "3xtf32": _for_tensor_cores(8),
    "bf16": _for_tensor_cores(4),
    "float64": (_MIDDLE, _SMALL),
}
"""The tiles of each precision, the largest first; all fit the 48 KB of shared memory that every block may have."""


def dtype_of(precision: Precision) -> np.dtype[Any]:
    """The dtype of the matrices.

    >>> dtype_of("bf16")
    dtype('float32')
    """
    return np.dtype(np.float64 if precision == "float64" else np.float32)


def choose(precision: Precision, rows: int, columns: int, multiprocessors: int) -> Tile:
    """The largest tile that gives every multiprocessor a block; the smallest, where none does.

    >>> [choose("float32", size, size, 132).rows for size in (4096, 512, 10)]
    [128, 32, 32]
    """
    for tile in TILES[precision]:
        (down, across), _ = tile.grid(rows, columns)
        if down * across >= multiprocessors:
            return tile
    return TILES[precision][-1]


@cache
def kernel_for(
    precision: Precision, tile: Tile, layout: Layout, epilogue: Epilogue, *, aligned: bool, row_sums: bool
) -> Any:
    """The kernel of one configuration; `pipeline.make_kernel` says what it takes."""
    if precision in ("float32", "float64"):
        element = element_of(dtype_of(precision))
        return warp_tile.make_kernel(element, tile, layout, epilogue, aligned=aligned, row_sums=row_sums)
    return tensor_core.make_kernel(precision, tile, layout, epilogue, aligned=aligned, row_sums=row_sums)


@cache
def multiprocessors() -> int:
    """How many the GPU has; 1 in the simulator, which runs one block at a time."""
    return 1 if IS_SIMULATOR else int(cuda.get_current_device().MULTIPROCESSOR_COUNT)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix on the GPU: its rows lie `step` elements apart in the flat array `data`."""

    data: Any
    rows: int
    columns: int
    step: int

    @property
    def aligned(self) -> bool:
        """Whether rows begin at multiples of 16 bytes."""
        address = 0 if IS_SIMULATOR else int(self.data.__cuda_array_interface__["data"][0])
        return self.step % 4 == 0 and address % 16 == 0


def matrix(array: Any) -> Matrix:
    """A C-contiguous device array as a `Matrix`.

    >>> matrix(cuda.to_device(np.ones((2, 3)))).step  # doctest: +SKIP
    3
    """
    if array.ndim != 2 or not array.is_c_contiguous():
        raise ValueError(
            f"array: got shape {array.shape}, strides {array.strides}; expected 2 dimensions, C-contiguous"
        )
    rows, columns = array.shape
    return Matrix(array.reshape(array.size), rows, columns, step=columns)


def multiply(
    a: Matrix,
    b: Matrix,
    c: Matrix,
    *,
    layout: Layout = "NN",
    precision: Precision = "float32",
    epilogue: Epilogue = STORE,
    u: Any = None,
    v: Any = None,
    h: Any = None,
    row_sums: Any = None,
    tile: Tile | None = None,
    stream: Any = 0,
) -> None:
    """Launch C = epilogue(op(A) @ op(B)) and return without waiting for it.

    The three products of training, with weights W (outputs, inputs):

        Y  = f(X Wᵀ + b)        layout "NT", epilogue "bias", u = b
        dX = (dY W) f'(X)       layout "NN", epilogue "slope", u = X, of the shape and step of C
        W  = step(dYᵀ X)        layout "TN", epilogue "sgd" or "adam", row_sums = the gradient of b

    `row_sums` takes the sums of the rows of op(A). Arrays have the dtype of the precision. C overlaps neither A nor B.

    Raises `ValueError` for sizes that don't fit and `TypeError` for other dtypes.
    """
    (m, k), (k_of_b, n) = _shape(a, layout[0]), _shape(b, layout[1])
    if k != k_of_b or (c.rows, c.columns) != (m, n):
        raise ValueError(
            f"sizes: got {(m, k)} x {(k_of_b, n)} -> {(c.rows, c.columns)} for layout {layout!r}, "
            f"expected op(A) (M, K), op(B) (K, N) and C (M, N)"
        )
    arrays = {"a": a.data, "b": b.data, "c": c.data, "u": u, "v": v, "h": h, "row_sums": row_sums}
    for name, array in arrays.items():
        if array is not None and array.dtype != dtype_of(precision):
            raise TypeError(f"{name}: got {array.dtype}, expected {dtype_of(precision)} for precision {precision!r}")
    for name in _NEEDS[epilogue.kind]:
        if arrays[name] is None:
            raise ValueError(f"{name}: got None, expected an array for the epilogue {epilogue.kind!r}")
    if m == 0 or n == 0:
        return
    tile = tile or choose(precision, m, n, multiprocessors())
    beside = [Matrix(array, 1, 0, 0) for array in (u, v) if array is not None]  # read in fours where C is
    aligned = all(operand.aligned for operand in (a, b, c, *beside))
    kernel = kernel_for(precision, tile, layout, epilogue, aligned=aligned, row_sums=row_sums is not None)
    blocks, threads = tile.grid(m, n)
    unused = row_sums if row_sums is not None else next((x for x in (u, h) if x is not None), b.data)
    others = [unused if array is None else array for array in (u, v, h, row_sums)]
    kernel[blocks, threads, stream](a.data, b.data, c.data, *others, m, n, k, a.step, b.step, c.step)


_NEEDS: dict[str, tuple[str, ...]] = {
    "store": (),
    "bias": ("u",),
    "slope": ("u",),
    "sgd": ("h",),
    "adam": ("u", "v", "h"),
}


def _shape(operand: Matrix, letter: str) -> tuple[int, int]:
    return (operand.rows, operand.columns) if letter == "N" else (operand.columns, operand.rows)


def gemm(
    a: Any,
    b: Any,
    out: Any = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    precision: Precision | None = None,
    stream: Any = 0,
) -> Any:
    """A @ B for two matrices, either transposed first where asked, but not both; the result is on the GPU.

    `a` and `b` are float32 or float64, C-contiguous; NumPy arrays are copied to the GPU. The precision is "float32" or
    "float64" unless another is asked for. `out`, a device array, takes the result without being waited for.

    >>> gemm(np.ones((2, 3)), np.ones((3, 1))).copy_to_host()  # doctest: +SKIP
    array([[3.],
           [3.]])
    """
    if transpose_a and transpose_b:
        raise ValueError("transpose_a, transpose_b: got both, expected one at most; A.T @ B.T is (B @ A).T")
    operands = [cuda.to_device(x, stream) if isinstance(x, np.ndarray) else x for x in (a, b)]
    precision = precision or ("float64" if operands[0].dtype == np.float64 else "float32")
    layout: Layout = "TN" if transpose_a else "NT" if transpose_b else "NN"
    left, right = (matrix(x) for x in operands)
    rows, columns = _shape(left, layout[0])[0], _shape(right, layout[1])[1]
    if out is None:
        out = cuda.device_array((rows, columns), dtype_of(precision), stream=stream)
    multiply(left, right, matrix(out), layout=layout, precision=precision, stream=stream)
    return out
