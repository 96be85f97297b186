"""The order of the samples in an epoch, drawn on the GPU: no order is ever copied to a population.

Sample k of n has a random word, word `k % 4` of Philox4x32-10 at the counter (k // 4, 0, 2^32 - 1, epoch); the order
is the samples sorted by their words, those with equal words by number. Each sample counts those before it, which is
its rank: n comparisons for each, but no two threads wait for each other in between.
"""

from typing import Any

import numpy as np

from mlp_kernels.cuda.device import ld1, st1
from mlp_kernels.cuda.dropout import random_word
from mlp_kernels.cuda.network import EPOCH, ORDER, SAMPLES, SEED, WORDS, about
from mlp_kernels.cuda.pure import pure

STREAM = 0xFFFFFFFF
"""The third word of the counter; dropout has its layer's number there."""


@pure
def draw_words(f: Any, epoch: int) -> None:
    """A word for each sample."""
    seed, number = np.uint64(about(f, SEED)), about(f, EPOCH) + epoch
    k = f.worker
    while k < about(f, SAMPLES):
        st1(f.tables, about(f, WORDS) + k, np.int64(random_word(seed, number, STREAM, 0, k)))
        k += f.workers


@pure
def sort_samples(f: Any) -> None:
    """The order, from the words."""
    n, words = about(f, SAMPLES), about(f, WORDS)
    k = f.worker
    while k < n:
        own, rank, other = ld1(f.tables, words + k), 0, 0
        while other < n:
            word = ld1(f.tables, words + other)
            if word < own or (word == own and other < k):
                rank += 1
            other += 1
        st1(f.tables, about(f, ORDER) + rank, k)
        k += f.workers
