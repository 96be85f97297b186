"""Rung 2, cache-tiled: the same multiplications in an order that uses what the cache holds.

The three loops are cut into blocks of T, and all that can be done with a block of A, of B and of C is done
while they lie in the cache: each element fetched is used T times.

    A                     B                     C
    |    |####|    |      |    |    |    |      |    |    |    |
    |    |####|    |  x   |----+####+----|  ->  |----+####+----|    three blocks of T x T elements:
    |    |    |    |      |    |####|    |      |    |####|    |    3 * 128 * 128 * 4 bytes = 197 KB in float32

Inside a block k comes before j, so that the innermost loop runs along rows of B and C and the compiler may
use vectors: each element of C still gets its terms in the order of k. Its plain reference is `naive`.
"""

from typing import Any, TypeAlias

import numpy.typing as npt

from mlp_kernels.cpu.compiling import kernel

Array: TypeAlias = npt.NDArray[Any]

BLOCK = 128


@kernel
def multiply(a: Array, b: Array, c: Array) -> None:
    """C = A @ B for C-contiguous arrays of one dtype, of any sizes; C overlaps nothing.

    >>> import numpy as np
    >>> c = np.empty((1, 1))
    >>> multiply(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), c)
    >>> c
    array([[11.]])
    """
    (rows, columns), depth = c.shape, a.shape[1]
    c[:] = 0
    for i0 in range(0, rows, BLOCK):
        for k0 in range(0, depth, BLOCK):
            for j0 in range(0, columns, BLOCK):
                for i in range(i0, min(rows, i0 + BLOCK)):
                    row_of_c = c[i, j0 : j0 + BLOCK]
                    for k in range(k0, min(depth, k0 + BLOCK)):
                        # Views of rows: with c[i, j] Numba allows for negative j, which rules vectors out.
                        row_of_b = b[k, j0 : j0 + BLOCK]
                        factor = a[i, k]
                        for j in range(row_of_c.size):
                            row_of_c[j] += factor * row_of_b[j]
