"""Rung 3, shared-memory tile: what one thread fetches, a whole block uses.

A block of T x T threads makes a tile of C. It copies a tile of A and one of B into shared memory, each thread an
element of both, multiplies them, and goes on along K:

    A                     B                     C
    |    |    |    |      |    |####|    |      |    |    |    |
    |----+####+----|  x   |----+####+----|  ->  |----+####+----|    T x T elements each
    |    |    |    |      |    |####|    |      |    |    |    |

Every element that comes from memory serves T threads. Elements beyond an edge are zeros, which add nothing. Two
barriers a tile: no one reads before all have written, and no one overwrites what another still reads. Still every
multiply-add waits for two numbers from shared memory. Its plain reference is `naive.reference`.
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.device import jit, ld1, shared_array, st1
from mlp_kernels.cuda.naive import grid as grid


@cache
def make_kernel(element: Any, edge: int = 32) -> Any:
    """The kernel C = A @ B for 2-D arrays of the Numba type `element`, in blocks of `edge` x `edge` threads.

    Launch it with `grid`. Sizes are any; C overlaps neither A nor B.
    """
    tile_of_a, tile_of_b = shared_array(element, edge * edge), shared_array(element, edge * edge)

    @jit
    def multiply(a: Any, b: Any, c: Any) -> None:
        tile_a, tile_b = tile_of_a(), tile_of_b()
        y, x = cuda.threadIdx.x // edge, cuda.threadIdx.x % edge
        i, j = cuda.blockIdx.x * edge + y, cuda.blockIdx.y * edge + x
        depth = a.shape[1]
        total = element(0.0)
        k0 = 0
        while k0 < depth:
            st1(tile_a, y * edge + x, a[i, k0 + x] if i < c.shape[0] and k0 + x < depth else element(0.0))
            st1(tile_b, y * edge + x, b[k0 + y, j] if j < c.shape[1] and k0 + y < depth else element(0.0))
            cuda.syncthreads()
            for k in range(edge):
                total += ld1(tile_a, y * edge + k) * ld1(tile_b, k * edge + x)
            cuda.syncthreads()
            k0 += edge
        if i < c.shape[0] and j < c.shape[1]:
            c[i, j] = total

    return multiply
