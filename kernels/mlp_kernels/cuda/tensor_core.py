"""Rung 6, tensor cores: one instruction of a warp multiplies whole blocks.

    C (16, 8) += A (16, K') B (K', 8)         K' = 8 in tf32, 16 in bf16, sums in float32

Each lane holds a few elements of each block, its fragments. With g = lane // 4 and t = lane % 4, in tf32:

    A   t t+4 of 8 columns        B    g of 8 columns          C   2t 2t+1 of 8 columns
    |  a0   a2 |  row g           | b0 |  row t                |  c0 c1 |  row g
    |  a1   a3 |  row g + 8       | b1 |  row t + 4            |  c2 c3 |  row g + 8

In bf16 a register holds two neighbours in K, so that t above stands for 2t and 2t + 1, and 4 for 8. Matrices stay
float32 in memory and are rounded on their way into the fragments; slabs come through the `pipeline`, in the order
of memory. Where they are by K, rows that are 8 (tf32) or 4 (bf16) numbers longer than a multiple of 32 make the lanes
read from 32 different banks. Where they are by rows, the padding of `slabs_for` does so in tf32; lanes of bf16, which
read every second number, then share a bank in pairs.

Three precisions, by how far the rounding of operands puts a product off, relative to |A| |B|:

    tf32      10 bits of fraction, 2⁻¹¹ for each operand
    bf16      7 bits of fraction, 2⁻⁸ for each operand
    3xtf32    A = A' + a, B = B' + b, both parts in tf32: A'B' + A'b + aB' is off by 3 · 2⁻²², about as far as float32

An infinity is one in tf32 and bf16. In 3xtf32 it may become a NaN, for there 0 · ∞ occurs: not finite all the same.
A tensor core cuts sums off where float32 would round. The plain reference is `reference`.
"""

from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import cuda, types

from mlp_kernels.cuda import pipeline
from mlp_kernels.cuda.device import device, in_turn, ld1, mma_bf16, mma_tf32, pack_bf16, to_tf32
from mlp_kernels.cuda.epilogues import STORE, Epilogue, make_finish
from mlp_kernels.cuda.slabs import Layout, Slab, slabs_for
from mlp_kernels.cuda.tiles import Tile

Array: TypeAlias = npt.NDArray[Any]
Precision: TypeAlias = Literal["tf32", "3xtf32", "bf16"]

STEP = {"tf32": 8, "3xtf32": 8, "bf16": 16}
"""How many steps of K an instruction does."""


def rounded(x: Array, bits: int, *, ties_to_even: bool) -> Array:
    """float32 with `bits` bits of fraction, rounded to nearest; a tie to even, or else away from zero.

    >>> rounded(np.float32([1 + 2**-8, 3]), 7, ties_to_even=False)
    array([1.0078125, 3.       ], dtype=float32)
    """
    drop = np.uint32(23 - bits)
    old = x.astype(np.float32).view(np.uint32)
    half = np.uint32(1) << (drop - np.uint32(1))
    up = half - np.uint32(1) + (old >> drop & np.uint32(1)) if ties_to_even else half
    return np.where(np.isfinite(x), ((old + up) >> drop << drop).view(np.float32), x).astype(np.float32)


def reference(a: Array, b: Array, precision: Precision) -> Array:
    """A @ B of operands rounded as the precision has it, with sums in float64.

    >>> reference(np.float32([[1 + 2**-12]]), np.float32([[1]]), "tf32")
    array([[1.]])
    """
    if precision == "bf16":
        high_a, high_b = (rounded(x, 7, ties_to_even=True).astype(np.float64) for x in (a, b))
        return high_a @ high_b
    high_a, high_b = (rounded(x, 10, ties_to_even=False) for x in (a, b))
    product = high_a.astype(np.float64) @ high_b.astype(np.float64)
    if precision == "3xtf32":
        low_a = rounded(a - high_a, 10, ties_to_even=False).astype(np.float64)
        low_b = rounded(b - high_b, 10, ties_to_even=False).astype(np.float64)
        product += high_a @ low_b + low_a @ high_b
    return product


@cache
def make_kernel(
    precision: Precision,
    tile: Tile,
    layout: Layout = "NN",
    epilogue: Epilogue = STORE,
    *,
    aligned: bool = True,
    row_sums: bool = False,
) -> Any:
    """The kernel C = epilogue(op(A) @ op(B)) for float32; see `pipeline.make_kernel` for its arguments.

    A warp's part is a multiple of 16 x 8, and the depth one of 8, or of 16 in bf16.
    """
    step = STEP[precision]
    if tile.warp_rows % 16 or tile.warp_columns % 8 or tile.depth % step:
        raise ValueError(f"tile: got {tile}, expected multiples of 16 x 8 a warp, and of {step} in depth")
    slabs = slabs_for(tile, layout, by_k=False)
    a_row, b_row = (slab.row_step for slab in slabs)
    a_hop, b_hop = (step // 8 * slab.k_step for slab in slabs)  # bf16 has two neighbours in K in a register

    @device
    def operands(lane: Any) -> Any:
        g, t = lane // 4, lane % 4
        return g * a_row + t * a_hop, g * b_row + t * b_hop

    @device
    def result(lane: Any) -> Any:
        return lane // 4, lane % 4 * 2

    multiplication = pipeline.Multiplication(
        size=tile.warp_rows * tile.warp_columns // 32,
        operands=operands,
        result=result,
        add=_make_addition(precision, tile, *slabs),
        finish=make_finish_fragments(tile, epilogue),
    )
    return pipeline.make_kernel(types.float32, tile, slabs, multiplication, aligned=aligned, row_sums=row_sums)


@cache
def make_finish_fragments(tile: Tile, epilogue: Epilogue) -> Any:
    """A function that finishes the fragments of C that a lane holds, and touches nothing beyond the edges of C."""
    across = tile.warp_columns // 8
    finish1, _ = make_finish(epilogue)

    @device
    def finish_pair(acc: Any, to: Any, number: Any) -> None:
        c, u, v, h, c_step, first_row, first_column, m, n = to
        block, half, place = number // 2, number % 2, 2 * number
        row = first_row + block // across * 16 + half * 8
        column = first_column + block % across * 8
        at = row * c_step + column
        if row < m and column < n:
            finish1(acc[place], c, u, v, h, at, column)
        if row < m and column + 1 < n:
            finish1(acc[place + 1], c, u, v, h, at + 1, column + 1)

    finish_all = in_turn(finish_pair, tile.warp_rows // 16 * across * 2)

    @device
    def finish(acc: Any, to: Any) -> None:
        finish_all(acc, to, 0)

    return finish


@cache
def _make_products(mma: Any, down: int, across: int) -> Any:
    """A function that multiplies all blocks of A with all of B: `products(acc, (parts_of_a, parts_of_b), 0)`."""

    @device
    def product(acc: Any, parts: Any, number: Any) -> None:
        a, b = parts
        at, a_at, b_at = 4 * number, number // across * 4, number % across * 2
        a0, a1, a2, a3, b0, b1 = a[a_at], a[a_at + 1], a[a_at + 2], a[a_at + 3], b[b_at], b[b_at + 1]
        c0, c1, c2, c3 = mma(a0, a1, a2, a3, b0, b1, acc[at], acc[at + 1], acc[at + 2], acc[at + 3])
        acc[at], acc[at + 1], acc[at + 2], acc[at + 3] = c0, c1, c2, c3

    return in_turn(product, down * across)


@device
def _take_tf32(high: Any, low: Any, i: Any, x: Any, at: Any, next_k: Any) -> None:
    high[i] = to_tf32(ld1(x, at))


@device
def _take_both_tf32(high: Any, low: Any, i: Any, x: Any, at: Any, next_k: Any) -> None:
    value = ld1(x, at)
    high[i] = to_tf32(value)
    low[i] = to_tf32(value - high[i])


@device
def _take_bf16(high: Any, low: Any, i: Any, x: Any, at: Any, next_k: Any) -> None:
    high[i] = pack_bf16(ld1(x, at), ld1(x, at + next_k))


_TAKES = {
    "tf32": (_take_tf32, mma_tf32, types.float32),
    "3xtf32": (_take_both_tf32, mma_tf32, types.float32),
    "bf16": (_take_bf16, mma_bf16, types.uint32),
}
"""How a register is filled from a slab, what multiplies it, and its type."""


@cache
def _make_addition(precision: Precision, tile: Tile, a_slab: Slab, b_slab: Slab) -> Any:
    """A function that adds the product of two slabs: `add(acc, a, a_at, b, b_at)`, see `pipeline.Multiplication`."""
    down, across, depth, step = tile.warp_rows // 16, tile.warp_columns // 8, tile.depth, STEP[precision]
    a_size, b_size, half = 4 * down, 2 * across, step // 2
    a_row, a_k, b_row, b_k = a_slab.row_step, a_slab.k_step, b_slab.row_step, b_slab.k_step
    take, mma, register = _TAKES[precision]
    in_parts = precision == "3xtf32"
    products = _make_products(mma, down, across)

    @device
    def add(acc: Any, a: Any, a_at: Any, b: Any, b_at: Any) -> None:
        high_a, high_b = cuda.local.array(a_size, register), cuda.local.array(b_size, register)
        low_a = cuda.local.array(a_size, register)
        low_b = cuda.local.array(b_size, register)
        for k in range(0, depth, step):
            for i in range(a_size):  # register 2q + r of block i // 4, whose rows begin at 8r
                q, row = i // 2 % 2, i // 4 * 16 + i % 2 * 8
                take(high_a, low_a, i, a, a_at + (k + q * half) * a_k + row * a_row, a_k)
            for j in range(b_size):  # register q of block j // 2
                q, row = j % 2, j // 2 * 8
                take(high_b, low_b, j, b, b_at + (k + q * half) * b_k + row * b_row, b_k)
            if in_parts:  # the small ones first
                products(acc, (low_a, high_b), 0)
                products(acc, (high_a, low_b), 0)
            products(acc, (high_a, high_b), 0)

    return add
