"""Dropout: masks from counters, so that a lane needs nobody else's random numbers.

Element (row, column) of a layer's output is kept where word `column % 4` of Philox4x32-10 at the counter
(column // 4, row, layer and high bits of the step, low bits of the step) is at least p · 2^32; J. Salmon, M. Moraes,
R. Dror, D. Shaw, SC 2011. Four features of one sample share a counter, so the loop runs over samples, a lane each.

Plain reference: `philox4x32` and `dropout_words` in `mlp_scratch/random.py`; compared by
`tests/testing/kernel_functions/test_random.py`.
"""

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import inlined, kernel
from mlp_kernels.cpu.lanes import Words
from mlp_kernels.cpu.memory import load, number, shift, store
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors


@inlined
def ten_rounds(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any, word: Any) -> Any:
    """The generator, for numbers and for lanes of numbers; `word` makes a constant of their type."""
    low, half = word(0xFFFFFFFF), word(32)
    for _ in range(10):
        p0, p1 = word(0xD2511F53) * c0, word(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + word(0x9E3779B9)) & low, (k1 + word(0xBB67AE85)) & low
    return c0, c1, c2, c3


@kernel
def philox(c0: Any, c1: Any, c2: Any, c3: Any, seed: Any) -> Any:
    """Four words of 32 random bits, each in a uint64, at the counter (c0, c1, c2, c3) under the key `seed`."""
    return ten_rounds(c0, c1, c2, c3, seed & np.uint64(0xFFFFFFFF), seed >> np.uint64(32), np.uint64)


@kernel
def draw_mask(
    tile: Tile,
    mask: Any,
    first_row: int,
    first_feature: int,
    features: int,
    p: float,
    seed: Any,
    layer: int,
    step: int,
) -> None:
    """The mask of a block of `features` rows of a panel of samples: 0 where dropped, 1 / (1 - p) where kept.

    `first_feature` is a multiple of 4, and the block has room for `features` rounded up to one.
    """
    threshold = np.uint64(np.rint(p * 4294967296.0))
    kept = number(mask, 1.0 / (1.0 - p))
    c2 = np.uint64((layer | (step >> 32) << 16) & 0xFFFFFFFF)
    c3 = np.uint64(step & 0xFFFFFFFF)
    for f in range(0, features, 4):
        c0 = np.uint64((first_feature + f) // 4)
        for j in range(0, tile.columns, tile.lanes):
            here = shift(mask, f * tile.columns + j)
            _draw_four_rows(tile, here, c0, np.uint64(first_row + j), c2, c3, seed, threshold, kept)


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _draw_four_rows(
    _context: Any,
    tile: Any,
    mask: Any,
    block: Any,
    first: Any,
    layer: Any,
    step: Any,
    seed: Any,
    threshold: Any,
    kept: Any,
) -> Any:
    """One vector of masks in each of four rows, for the samples from `first` on: in vectors, for LLVM makes none here.

    A loop of ten multiplications that need each other it leaves to run a sample at a time, at a quarter of the speed.
    """
    word = types.uint64
    signature = types.void(tile, mask, *[word] * 6, mask.dtype)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, mask, block, first, layer, step, seed, threshold, kept = arguments
        v = Vectors(builder, tile.value)
        lane = Words(v, ir.Constant(ir.VectorType(ir.IntType(64), v.lanes), list(range(v.lanes))))
        keys = builder.and_(seed, ir.Constant(seed.type, 0xFFFFFFFF)), builder.lshr(seed, ir.Constant(seed.type, 32))
        counter = Words.of(v, block), Words.of(v, first) + lane, Words.of(v, layer), Words.of(v, step)
        words = ten_rounds(*counter, *(Words.of(v, key) for key in keys), partial(Words.constant, v))
        for row, drawn in enumerate(words):
            keeps = builder.icmp_unsigned(">=", drawn.value, v.splat(threshold))
            v.store(builder.select(keeps, v.splat(kept), v.constant(0.0)), mask, row * tile.value.columns)
        return context.get_dummy_value()

    return signature, generate


@kernel
def multiply(x: Any, mask: Any, y: Any, count: int) -> None:
    """y[i] = x[i] · mask[i]; x and y may be the same."""
    for i in range(count):
        store(y, i, load(x, i) * load(mask, i))
