"""Rung 1, naive: one thread for each element of C.

    C[i, j] = sum over k of A[i, k] * B[k, j]

A GPU runs 32 threads, a warp, in lockstep, and what they read at the same moment is fetched together where it lies
together. Here the lanes of a warp hold 32 rows of one column, so that at every step of k they read 32 rows of A:

    A (M, K), row by row              B (K, N)                C (M, N)
    | . . # . . . | <- lane 0         | . . . . |             | . # . . | <- lane 0
    | . . # . . . | <- lane 1         | . . . . |             | . # . . | <- lane 1
    | . . # . . . | <- lane 2         | . # . . | <- all      | . # . . | <- lane 2
          ^ k                             ^ j                     ^ j

32 numbers of A from 32 places, each of which brings 32 bytes along that no one asked for. The plain reference of
this and all other rungs is `reference`.
"""

from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import cuda

from mlp_kernels.cuda.device import jit

Array: TypeAlias = npt.NDArray[Any]


def reference(a: Array, b: Array) -> Array:
    """A @ B, one outer product a step, each sum in the order of k, in which every rung adds.

    >>> reference(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    c = np.zeros((a.shape[0], b.shape[1]), a.dtype)
    for k in range(a.shape[1]):
        c += np.outer(a[:, k], b[k])
    return c


@cache
def make_kernel(element: Any, edge: int = 32) -> Any:
    """The kernel C = A @ B for 2-D arrays of the Numba type `element`, in blocks of `edge` x `edge` threads.

    Launch it with `grid`. Sizes are any; C overlaps neither A nor B.
    """

    @jit
    def multiply(a: Any, b: Any, c: Any) -> None:
        i = cuda.blockIdx.x * edge + cuda.threadIdx.x % edge
        j = cuda.blockIdx.y * edge + cuda.threadIdx.x // edge
        if i < c.shape[0] and j < c.shape[1]:
            total = element(0.0)
            k = 0
            while k < a.shape[1]:
                total += a[i, k] * b[k, j]
                k += 1
            c[i, j] = total

    return multiply


def grid(rows: int, columns: int, edge: int = 32) -> tuple[tuple[int, int], int]:
    """The blocks and the threads of a block that cover C.

    >>> grid(33, 5)
    ((2, 1), 1024)
    """
    return (max(1, -(-rows // edge)), max(1, -(-columns // edge))), edge * edge
