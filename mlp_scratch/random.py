"""Counter-based random numbers: every backend draws the same ones, in any order, with no state to carry.

A counter-based generator is a function of (key, counter) whose outputs look independent. Dropout asks it for the
word of (seed, step, layer, row, column), shuffling for the word of (seed, epoch, sample). A GPU thread, a SIMD lane
and NumPy therefore agree without talking to each other, and training resumed at step 1,000 draws what it would
have drawn had it never stopped.

The generator is Philox4x32-10 of J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel Random Numbers: As Easy as
1, 2, 3", SC 2011: ten rounds of two 32-bit multiplications that keep both halves of each product.
"""

import numpy as np
import numpy.typing as npt

from mlp_scratch._types import IntArray

Words = npt.NDArray[np.uint32]

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1, as fractions of 2^32
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

SHUFFLE_STREAM = 0xFFFFFFFF
"""The third counter word of shuffling; dropout has its layer's number there."""


def philox4x32(counter: tuple[npt.ArrayLike, ...], seed: int) -> tuple[npt.NDArray[np.uint64], ...]:
    """Four words of 32 random bits, each in a uint64, for each counter.

    Args:
        counter: four broadcastable arrays of integers in [0, 2^32).
        seed: the key; its low 64 bits are used.

    The all-zero counter and key give the first known answer published with the paper:

    >>> [f"{int(word):08x}" for word in philox4x32((0, 0, 0, 0), seed=0)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    for n in range(_ROUNDS):
        k0 = np.uint64(((seed & 0xFFFFFFFF) + n * _KEY_STEPS[0]) & 0xFFFFFFFF)
        k1 = np.uint64(((seed >> 32 & 0xFFFFFFFF) + n * _KEY_STEPS[1]) & 0xFFFFFFFF)
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
    return c0, c1, c2, c3


def dropout_words(seed: int, step: int, layer: int, shape: tuple[int, int]) -> Words:
    """32 random bits for each element of a layer's (N, H) output at one training step.

    Element (row, column) is word `column % 4` of Philox at the counter (column // 4, row, layer, step): a lane that
    owns a row, or a thread that owns four columns, needs no other's counter, whatever N and H are. A step past
    2^32 spills into the third word above the layer's 16 bits.

    >>> dropout_words(seed=0, step=1, layer=2, shape=(2, 3)).shape
    (2, 3)
    """
    rows, columns = shape
    blocks = np.arange(-(-columns // 4), dtype=np.uint64)
    row = np.arange(rows, dtype=np.uint64)[:, np.newaxis]
    words = philox4x32((blocks, row, layer | (step >> 32) << 16 & 0xFFFFFFFF, step & 0xFFFFFFFF), seed)
    return np.stack(words, axis=-1).astype(np.uint32).reshape(rows, -1)[:, :columns]


def permutation(seed: int, epoch: int, n: int) -> IntArray:
    """The order of `n` samples in one epoch, (n,): the samples sorted by one random word each.

    Ties, one in 2^32 per pair, keep the samples' own order.

    >>> permutation(seed=0, epoch=0, n=6)
    array([1, 5, 0, 3, 4, 2])
    """
    blocks = np.arange(-(-n // 4), dtype=np.uint64)
    words = np.stack(philox4x32((blocks, 0, SHUFFLE_STREAM, epoch), seed), axis=-1).astype(np.uint32)
    return np.argsort(words.reshape(-1)[:n], kind="stable").astype(np.int64)
