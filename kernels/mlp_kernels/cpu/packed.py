"""Rung 3, packed: blocks copied so that the innermost loops read memory from one end to the other.

A block of a large matrix is scattered: each of its rows lies on another page, and rows a power of two apart
compete for the same few places in the cache. So blocks are copied first, into panels in the very order in
which they will be read:

    A: panels of R rows                   B: panels of W columns
    | k=0 k=1 k=2 ... |  panel 0          | panel 0 | panel 1 |     k=0: W elements of a row of B
    | k=0 k=1 k=2 ... |  panel 1                                    k=1: the next W, and so on

    memory of A's panel: A[0:R, 0] A[0:R, 1] A[0:R, 2] ...

The copy costs M*K + K*N moves and is used for M*N*K multiplications. What remains between this rung and the
machine is that a tile of C makes its way to the cache and back for every k: the next rung keeps it in
registers. Its plain reference is `naive`; `pack` is the reference of the vector copies in `packing`.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu.compiling import kernel

Array: TypeAlias = npt.NDArray[Any]

ROWS, COLUMNS, DEPTH = 4, 256, 256


@kernel
def pack(matrix: Array, width: int) -> Array:
    """The panels of `matrix` (K, places): an array (panels, K, width); places beyond the last repeat it.

    Transpose A to pack it: its places are its rows.

    >>> pack(np.arange(6.0).reshape(2, 3), 2).tolist()
    [[[0.0, 1.0], [3.0, 4.0]], [[2.0, 2.0], [5.0, 5.0]]]
    """
    depth, places = matrix.shape
    panels = np.empty(((places + width - 1) // width, depth, width), matrix.dtype)
    for panel in range(panels.shape[0]):
        for k in range(depth):
            for place in range(width):
                panels[panel, k, place] = matrix[k, min(panel * width + place, places - 1)]
    return panels


@kernel
def multiply(a: Array, b: Array, c: Array) -> None:
    """C = A @ B for C-contiguous arrays of one dtype, of any sizes; C overlaps nothing.

    >>> c = np.empty((1, 1))
    >>> multiply(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), c)
    >>> c
    array([[11.]])
    """
    (rows, columns), depth = c.shape, a.shape[1]
    c[:] = 0
    tile = np.empty((ROWS, COLUMNS), c.dtype)
    for k0 in range(0, depth, DEPTH):
        panels_of_a = pack(a[:, k0 : k0 + DEPTH].T, ROWS)
        panels_of_b = pack(b[k0 : k0 + DEPTH], COLUMNS)
        for panel_b in range(panels_of_b.shape[0]):
            for panel_a in range(panels_of_a.shape[0]):
                tile[:] = 0
                for k in range(panels_of_a.shape[1]):
                    row_of_b = panels_of_b[panel_b, k]
                    for i in range(ROWS):
                        factor = panels_of_a[panel_a, k, i]
                        row = tile[i]
                        for j in range(COLUMNS):
                            row[j] += factor * row_of_b[j]
                i0, j0 = panel_a * ROWS, panel_b * COLUMNS
                for i in range(min(ROWS, rows - i0)):
                    for j in range(min(COLUMNS, columns - j0)):
                        c[i0 + i, j0 + j] += tile[i, j]
