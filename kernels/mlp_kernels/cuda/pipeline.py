"""The frame of the fast rungs: slabs that arrive while others are multiplied.

Shared memory holds several slabs of each operand. While one is multiplied, copies that no register waits for fill
the others. One barrier a slab says both that it has arrived, for every thread has waited for its own copies, and that
its predecessor is free:

    slab 0 |######| copy                         ######  copies of a slab, in the background
    slab 1        |######| copy                  ======  its multiplication
    slab 0        |======| multiply
                         | wait, barrier
    slab 0               |######| copy  (slab 2 of K)
    slab 1               |======| multiply

What is done with a slab, and who has which part of C, is up to the caller: see `warp_tile` and `tensor_core`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.device import commit_copies, device, jit, ld1, shared_array, st1, wait_for_copies_but
from mlp_kernels.cuda.slabs import Slab, make_copier
from mlp_kernels.cuda.tiles import WARP, Tile


@dataclass(frozen=True, slots=True)
class Multiplication:
    """What a thread does, as device functions.

    Attributes:
        size: how many accumulators it has.
        operands: `operands(lane)` is where its part begins, from the beginning of its warp's: in a slab of A, of B.
        result: `result(lane)` is the same for C: row, column.
        add: `add(acc, a, a_at, b, b_at)` adds the product of two slabs.
        finish: `finish(acc, (c, u, v, h, c_step, row, column, m, n))` stores.
    """

    size: int
    operands: Callable[[Any], Any]
    result: Callable[[Any], Any]
    add: Callable[..., None]
    finish: Callable[..., None]


@cache
def make_row_sum(slab: Slab) -> Any:
    """A function that adds what a slab has of a row of op(A) to a sum: `row_sum(memory, place, row, so_far)`.

    The bias gradient: all of dY passes by while dW = dYᵀ X is made, and its column sums are the row sums of op(A).
    One thread a row adds in the order of K.
    """
    row_step, k_step, depth = slab.row_step, slab.k_step, slab.depth

    @device
    def row_sum(memory: Any, place: Any, row: Any, so_far: Any) -> Any:
        for k in range(depth):
            so_far += ld1(memory, place + row * row_step + k * k_step)
        return so_far

    return row_sum


def make_kernel(
    element: Any,
    tile: Tile,
    slabs: tuple[Slab, Slab],
    multiplication: Multiplication,
    *,
    aligned: bool,
    row_sums: bool,
) -> Any:
    """The kernel C = epilogue(op(A) @ op(B)) on flat arrays; launch it with `tile.grid`.

    Its arguments are a, b, c, the epilogue's u, v and h, where the sums of the rows of op(A) go if `row_sums`, then
    m, n, k and the distances from row to row of A, B and C as they are stored. Sizes are any. With `aligned`, arrays
    begin at multiples of 16 bytes and those distances are multiples of 4. C overlaps neither A nor B. What isn't used
    may be any array.
    """
    size, add, finish = multiplication.size, multiplication.add, multiplication.finish
    operands, result = multiplication.operands, multiplication.result
    depth, block_rows, block_columns = tile.depth, tile.rows, tile.columns
    warp_rows, warp_columns, warps_in_row = tile.warp_rows, tile.warp_columns, tile.warps_in_row
    ahead, stages = tile.stages - 1, tile.stages
    a_slab, b_slab = slabs
    a_size, b_size, a_row, b_row = a_slab.size, b_slab.size, a_slab.row_step, b_slab.row_step
    slabs_of_a, slabs_of_b = shared_array(element, stages * a_size), shared_array(element, stages * b_size)
    copy_a, copy_b = (make_copier(slab, aligned=aligned) for slab in slabs)
    wait, row_sum = wait_for_copies_but(ahead - 1), make_row_sum(a_slab)

    @jit(launch_bounds=(tile.threads, 1))  # type: ignore[untyped-decorator]  # Numba's
    def multiply(
        a: Any,
        b: Any,
        c: Any,
        u: Any,
        v: Any,
        h: Any,
        sums: Any,
        m: Any,
        n: Any,
        k: Any,
        a_step: Any,
        b_step: Any,
        c_step: Any,
    ) -> None:
        slabs_a, slabs_b = slabs_of_a(), slabs_of_b()
        thread = cuda.threadIdx.x
        warp, lane = thread // WARP, thread % WARP
        down, across = warp // warps_in_row * warp_rows, warp % warps_in_row * warp_columns
        a_in, b_in = operands(lane)
        a_in, b_in = a_in + down * a_row, b_in + across * b_row
        first_row, first_column = cuda.blockIdx.x * block_rows, cuda.blockIdx.y * block_columns
        sums_a_row = row_sums and cuda.blockIdx.y == 0 and thread < block_rows
        total = element(0.0)
        acc = cuda.local.array(size, element)
        for i in range(size):
            acc[i] = element(0.0)

        for slab in range(ahead):
            copy_a(slabs_a, slab * a_size, a, a_step, first_row, slab * depth, m, k, thread)
            copy_b(slabs_b, slab * b_size, b, b_step, first_column, slab * depth, n, k, thread)
            commit_copies()
        k0, stage, filling = 0, 0, ahead
        while k0 < k:
            wait()
            cuda.syncthreads()
            k_ahead = k0 + ahead * depth
            if k_ahead < k:
                copy_a(slabs_a, filling * a_size, a, a_step, first_row, k_ahead, m, k, thread)
                copy_b(slabs_b, filling * b_size, b, b_step, first_column, k_ahead, n, k, thread)
            commit_copies()  # an empty group at the end: so many groups are under way at every step
            add(acc, slabs_a, stage * a_size + a_in, slabs_b, stage * b_size + b_in)
            if sums_a_row:
                total = row_sum(slabs_a, stage * a_size, thread, total)
            k0 += depth
            stage = stage + 1 if stage + 1 < stages else 0
            filling = filling + 1 if filling + 1 < stages else 0

        if sums_a_row and first_row + thread < m:
            st1(sums, first_row + thread, total)
        row, column = result(lane)
        finish(acc, (c, u, v, h, c_step, first_row + down + row, first_column + across + column, m, n))

    return multiply
