"""Rung 4, register tile: each thread keeps a block of C in registers and reads four numbers at a time.

One step of k multiplies R numbers of A by S numbers of B, all of which R·S multiply-adds use:

    acc[i, j] += A[i, k] * B[k, j]          i < R, j < S

With R = S = 8 that is 64 multiply-adds for four reads of 128 bits, where the shared-memory tile needs two reads for
each. A thread's rows come in fours, far apart, so that the lanes of a warp read neighbouring fours:

    rows of a slab        0..3     4..7     8..11   ...    64..67   68..71  ...
    thread row            0        1        2              0        1

Memory is read in fours as well, into `slabs`, which are the same for every layout. The plain reference is
`naive.reference`.
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.device import device, jit, ld4, shared_array
from mlp_kernels.cuda.epilogues import STORE, make_finish_block
from mlp_kernels.cuda.slabs import Layout, make_loader, slabs_for
from mlp_kernels.cuda.tiles import Tile


@cache
def make_outer_products(element: Any, tile: Tile, a_step: int, b_step: int, row_hop: int, column_hop: int) -> Any:
    """A function that adds the product of two slabs to a thread's block: `add(acc, a, a_at, b, b_at)`.

    The slabs are by K, a step of which takes `a_step`, `b_step`. `a_at` and `b_at` are the first of the thread's rows
    and columns in them; the next four are `row_hop`, `column_hop` further on.
    """
    rows, columns, depth = tile.lane_rows, tile.lane_columns, tile.depth
    fours_of_a, fours_of_b = rows // 4, columns // 4

    @device
    def add(acc: Any, a: Any, a_at: Any, b: Any, b_at: Any) -> None:
        part_a, part_b = cuda.local.array(rows, element), cuda.local.array(columns, element)
        for k in range(depth):
            for four in range(fours_of_a):
                v0, v1, v2, v3 = ld4(a, a_at + k * a_step + four * row_hop)
                part_a[4 * four], part_a[4 * four + 1], part_a[4 * four + 2], part_a[4 * four + 3] = v0, v1, v2, v3
            for four in range(fours_of_b):
                v0, v1, v2, v3 = ld4(b, b_at + k * b_step + four * column_hop)
                part_b[4 * four], part_b[4 * four + 1], part_b[4 * four + 2], part_b[4 * four + 3] = v0, v1, v2, v3
            for i in range(rows):
                for j in range(columns):
                    acc[i * columns + j] += part_a[i] * part_b[j]

    return add


@cache
def make_kernel(element: Any, tile: Tile, layout: Layout = "NN", *, aligned: bool = True) -> Any:
    """The kernel C = op(A) @ op(B) on flat arrays; launch it with `tile.grid`.

    Its arguments are a, b, c, m, n, k, then the distances from row to row of A, B and C as they are stored. Sizes are
    any. With `aligned`, arrays begin at multiples of 16 bytes and those distances are multiples of 4. C overlaps
    neither A nor B. The tile's warps and stages don't matter here.
    """
    rows, columns = tile.lane_rows, tile.lane_columns
    threads_in_row = tile.columns // columns
    row_hop, column_hop = 4 * (tile.rows // rows), 4 * threads_in_row
    size, depth, block_rows, block_columns = rows * columns, tile.depth, tile.rows, tile.columns
    a_slab, b_slab = slabs_for(tile, layout, by_k=True)
    slab_of_a, slab_of_b = shared_array(element, a_slab.size), shared_array(element, b_slab.size)
    load_a, load_b = (make_loader(element, slab, aligned=aligned) for slab in (a_slab, b_slab))
    add = make_outer_products(element, tile, a_slab.k_step, b_slab.k_step, row_hop, column_hop)
    finish = make_finish_block(tile, STORE, row_hop, column_hop, aligned=aligned)

    @jit(launch_bounds=(tile.threads, 1))  # type: ignore[untyped-decorator]  # Numba's
    def multiply(a: Any, b: Any, c: Any, m: Any, n: Any, k: Any, a_step: Any, b_step: Any, c_step: Any) -> None:
        slab_a, slab_b = slab_of_a(), slab_of_b()
        thread = cuda.threadIdx.x
        y, x = thread // threads_in_row, thread % threads_in_row
        first_row, first_column = cuda.blockIdx.x * block_rows, cuda.blockIdx.y * block_columns
        acc = cuda.local.array(size, element)
        for i in range(size):
            acc[i] = element(0.0)
        k0 = 0
        while k0 < k:
            load_a(slab_a, 0, a, a_step, first_row, k0, m, k, thread)
            load_b(slab_b, 0, b, b_step, first_column, k0, n, k, thread)
            cuda.syncthreads()
            add(acc, slab_a, 4 * y, slab_b, 4 * x)
            cuda.syncthreads()
            k0 += depth
        finish(acc, (c, c, c, c, c_step, first_row + 4 * y, first_column + 4 * x, m, n))

    return multiply
