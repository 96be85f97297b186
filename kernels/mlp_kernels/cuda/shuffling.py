"""The order of the samples in an epoch, drawn on the GPU: no order is ever copied to a population.

Sample k of n has a random word, word `k % 4` of Philox4x32-10 at the counter (k // 4, 0, 2^32 - 1, epoch); the order
is the samples sorted by their words, those with equal words by number. So a sample's key is its word with its number
behind it, and keys are sorted in the place of the order, by comparisons of pairs that are always the same (K. Batcher,
"Sorting networks and their applications", 1968). Level by level, sorted runs are merged to runs twice as long. The
first pass of a level compares each place with its mirror image in the new run, and the others those a distance apart:

    level 1      level 2: mirrored, then 1 apart      level 3: mirrored, then 2 apart, then 1
    0-1 2-3      0-3 1-2           0-1 2-3            0-7 1-6 2-5 3-4   0-2 1-3 4-6 5-7   0-1 2-3 4-5 6-7

The smaller key always goes to the smaller place, so places from n on may be thought full of keys larger than all, and
pairs with them are passed over. Everybody waits between two passes, of which there are about half of log₂² n.
"""

from typing import Any

import numpy as np

from mlp_kernels.cuda.device import ld1, st1
from mlp_kernels.cuda.dropout import random_word
from mlp_kernels.cuda.network import EPOCH, ORDER, SAMPLES, SEED, about
from mlp_kernels.cuda.pure import pure

STREAM = 0xFFFFFFFF
"""The third word of the counter; dropout has its layer's number there."""
BITS = 31
"""Of a key for the number of a sample; the word's 32 fill up the rest of what is positive in an int64."""


@pure
def draw_keys(f: Any, epoch: int) -> None:
    """A key for each sample, where the order will be."""
    seed, number = np.uint64(about(f, SEED)), about(f, EPOCH) + epoch
    k = f.worker
    while k < about(f, SAMPLES):
        word = np.int64(random_word(seed, number, STREAM, 0, k))
        st1(f.tables, about(f, ORDER) + k, word << BITS | k)
        k += f.workers


@pure
def compare_pairs(f: Any, level: int, e: int) -> None:
    """The pass of a level that compares places 2^e apart; its first, with e = level - 1, compares mirror images."""
    n, order, distance = about(f, SAMPLES), about(f, ORDER), 1 << e
    pair, pairs = f.worker, (n + (1 << level) - 1 >> level) << level - 1
    while pair < pairs:
        run, place = pair >> e << e + 1, pair & distance - 1
        low = run + place
        high = run + 2 * distance - 1 - place if e == level - 1 else low + distance
        if high < n:
            a, b = ld1(f.tables, order + low), ld1(f.tables, order + high)
            if b < a:
                st1(f.tables, order + low, b)
                st1(f.tables, order + high, a)
        pair += f.workers


@pure
def keep_numbers(f: Any) -> None:
    """The order, from sorted keys."""
    k = f.worker
    while k < about(f, SAMPLES):
        place = about(f, ORDER) + k
        st1(f.tables, place, ld1(f.tables, place) & (1 << BITS) - 1)
        k += f.workers
