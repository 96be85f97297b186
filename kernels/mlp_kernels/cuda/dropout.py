"""Dropout: masks from counters, so that a thread needs nobody else's random numbers.

Element (row, column) of a layer's output is kept where word `column % 4` of Philox4x32-10 at the counter
(column // 4, row, layer and high bits of the step, low bits of the step) is at least p · 2^32; J. Salmon, M. Moraes,
R. Dror, D. Shaw, SC 2011. The way back draws the word again: that takes less time than to read a mask from memory.
"""

from typing import Any

import numpy as np

from mlp_kernels.cuda.pure import pure

LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
MULTIPLIER_0, MULTIPLIER_2 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
ROUNDS = 10


@pure
def random_word(seed: Any, step: int, layer: int, row: int, column: int) -> Any:
    """32 random bits, in a uint64."""
    c0, c1 = np.uint64(column >> 2), np.uint64(row)
    c2, c3 = np.uint64((layer | (step >> 32) << 16) & 0xFFFFFFFF), np.uint64(step & 0xFFFFFFFF)
    k0, k1 = seed & LOW, seed >> HALF
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIER_0 * c0, MULTIPLIER_2 * c2
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + KEY_STEP_0) & LOW, (k1 + KEY_STEP_1) & LOW
    word = column & 3
    return (c0 if word == 0 else c1) if word < 2 else (c2 if word == 2 else c3)
