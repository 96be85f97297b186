"""Rung 2, coalesced: the lanes of a warp side by side along a row.

The sums are those of `naive`, its reference too; only the numbering of the threads is turned around:

    A (M, K)                          B (K, N), row by row             C (M, N)
    | . . # . . . | <- i, all         | . . . . . . |                  | . . . . . . |
    | . . . . . . |                   | . . . . . . |                  | # # # # # # | <- i
    | . . . . . . |                   | # # # # # # | <- k               0 1 2 3 ...  lanes
          ^ k                           0 1 2 3 ...  lanes

At a step of k a warp reads one number of A, which all lanes share, and 32 neighbours of B, 128 bytes in one piece.
Still every multiply-add waits for two numbers from memory.
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.device import jit
from mlp_kernels.cuda.naive import grid as grid


@cache
def make_kernel(element: Any, edge: int = 32) -> Any:
    """The kernel C = A @ B for 2-D arrays of the Numba type `element`, in blocks of `edge` x `edge` threads.

    Launch it with `grid`. Sizes are any; C overlaps neither A nor B.
    """

    @jit
    def multiply(a: Any, b: Any, c: Any) -> None:
        i = cuda.blockIdx.x * edge + cuda.threadIdx.x // edge
        j = cuda.blockIdx.y * edge + cuda.threadIdx.x % edge
        if i < c.shape[0] and j < c.shape[1]:
            total = element(0.0)
            k = 0
            while k < a.shape[1]:
                total += a[i, k] * b[k, j]
                k += 1
            c[i, j] = total

    return multiply
