"""Dropout: masks from counters, so that a lane needs nobody else's random numbers.

Element (row, column) of a layer's output is kept where word `column % 4` of Philox4x32-10 at the counter
(column // 4, row, layer and high bits of the step, low bits of the step) is at least p · 2^32; J. Salmon, M. Moraes,
R. Dror, D. Shaw, SC 2011. Four features of one sample share a counter, so the loop runs over samples, a lane each.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, store


@kernel
def _round(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
    return (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low


@kernel
def philox(c0: Any, c1: Any, c2: Any, c3: Any, seed: Any) -> Any:
    """Four words of 32 random bits, each in a uint64, at the counter (c0, c1, c2, c3) under the key `seed`."""
    low = np.uint64(0xFFFFFFFF)
    k0, k1 = seed & low, seed >> np.uint64(32)
    step0, step1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
    for _ in range(10):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0, k1 = (k0 + step0) & low, (k1 + step1) & low
    return c0, c1, c2, c3


@kernel
def draw_mask(
    mask: Any, width: int, first_row: int, first_feature: int, features: int, p: float, seed: Any, layer: int, step: int
) -> None:
    """The mask of a block of `features` rows of `width` samples: 0 where dropped, 1 / (1 - p) where kept.

    `first_feature` is a multiple of 4, and the block has room for `features` rounded up to one.
    """
    threshold = np.uint64(np.rint(p * 4294967296.0))
    kept, zero = number(mask, 1.0 / (1.0 - p)), number(mask, 0.0)
    c2 = np.uint64((layer | (step >> 32) << 16) & 0xFFFFFFFF)
    c3 = np.uint64(step & 0xFFFFFFFF)
    for f in range(0, features, 4):
        c0 = np.uint64((first_feature + f) // 4)
        for j in range(width):
            w0, w1, w2, w3 = philox(c0, np.uint64(first_row + j), c2, c3, seed)
            here = f * width + j
            store(mask, here, kept if w0 >= threshold else zero)
            store(mask, here + width, kept if w1 >= threshold else zero)
            store(mask, here + 2 * width, kept if w2 >= threshold else zero)
            store(mask, here + 3 * width, kept if w3 >= threshold else zero)


@kernel
def multiply(x: Any, mask: Any, y: Any, count: int) -> None:
    """y[i] = x[i] · mask[i]; x and y may be the same."""
    for i in range(count):
        store(y, i, load(x, i) * load(mask, i))
