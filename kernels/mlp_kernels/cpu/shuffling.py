"""The order of an epoch: samples sorted by one random word each, without the GIL.

The words are Philox's at the counter (sample // 4, 0, stream, epoch), word sample % 4; the sort is a stable radix
sort, eleven bits at a time from the lowest up, so samples with equal words keep their order. The reference is
`np.argsort(words, kind="stable")`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.dropout import philox

DIGIT_BITS = 11
STREAM = 0xFFFFFFFF
"""The third counter word of shuffling."""


@kernel
def permutation(seed: np.uint64, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """The order of `n` samples in epoch `epoch`, (n,).

    >>> permutation(np.uint64(0), 0, 6)
    array([1, 5, 0, 3, 4, 2])
    """
    keys = np.empty((n + 3) // 4 * 4, np.uint64)
    for block in range((n + 3) // 4):
        w0, w1, w2, w3 = philox(np.uint64(block), np.uint64(0), np.uint64(STREAM), np.uint64(epoch), seed)
        keys[4 * block], keys[4 * block + 1], keys[4 * block + 2], keys[4 * block + 3] = w0, w1, w2, w3
    order, other = np.arange(n), np.empty(n, np.int64)
    for shift in range(0, 32, DIGIT_BITS):
        _sort_by_digit(keys, np.uint64(shift), order, other)
        order, other = other, order
    return order


@kernel
def _sort_by_digit(keys: Any, shift: Any, order: Any, result: Any) -> None:
    """One stable pass: count the samples of each digit, then put each behind those before it."""
    mask = np.uint64((1 << DIGIT_BITS) - 1)
    places = np.zeros((1 << DIGIT_BITS) + 1, np.int64)
    for sample in order:
        places[np.int64((keys[sample] >> shift) & mask) + 1] += 1
    for below in range(1 << DIGIT_BITS):
        places[below + 1] += places[below]
    for sample in order:
        digit = np.int64((keys[sample] >> shift) & mask)
        result[places[digit]] = sample
        places[digit] += 1
