"""Rung 1, naive: the definition of a matrix product, as three loops.

    C[i, j] = sum over k of A[i, k] * B[k, j]

Each element of C walks along a row of A, which is contiguous, and down a column of B, which is not:

    A (M, K), row by row        B (K, N), row by row        C (M, N)
    | . . . . . . . |           | . # . . |                 | . . . . |
    | # # # # # # # | <- i      | . # . . |                 | . # . . |
    | . . . . . . . |           | . # . . |  a line of      | . . . . |
                                  ^ j        cache for each

A column touches K lines of the cache, in large matrices on as many pages, and uses one element of each. What
the cache or the TLB can't hold of these has gone by the next j, which needs the same lines again. The compiler
can't use vectors either: that would change the order of the sum. This rung is the specification of the others.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu.compiling import kernel

Array: TypeAlias = npt.NDArray[Any]


@kernel
def multiply(a: Array, b: Array, c: Array) -> None:
    """C = A @ B for C-contiguous arrays of one dtype, of any sizes; C overlaps nothing.

    >>> c = np.empty((1, 1))
    >>> multiply(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), c)
    >>> c
    array([[11.]])
    """
    zero = np.zeros(1, c.dtype)[0]  # of the dtype of C: a plain 0.0 would make the sum float64
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            total = zero
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total
