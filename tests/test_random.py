"""The counter-based generator: the published answers, JAX's words, and what dropout and shuffling make of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_scratch.random import dropout_words, permutation, philox4x32
from tests.tolerances import assert_close, count_bound

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        # The digits of pi.
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
         (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
    ids=["zeros", "ones", "pi"],
)  # fmt: skip
def test_known_answers(counter, key, words):
    """Philox4x32-10 in the file of known answers that comes with the authors' library, Random123."""
    assert tuple(int(word) for word in philox4x32(counter, key[0] | key[1] << 32)) == words


@pytest.mark.parametrize("key", [(0, 0, 0, 0), (1, 2, 3, 4), (ONES, 0, 5, ONES), (7, ONES, ONES - 3, 9)])
def test_the_words_are_those_of_jax(key):
    """XLA counts up the lower half of the counter, one for each four words, and puts the key in the upper half too."""
    jax = pytest.importorskip("jax")
    _, words = jax.lax.rng_bit_generator(
        np.array(key, np.uint32), (40,), dtype=np.uint32, algorithm=jax.lax.RandomAlgorithm.RNG_PHILOX
    )
    counters = [(key[2] | key[3] << 32) + i for i in range(10)]
    low, high = np.array([c & ONES for c in counters]), np.array([c >> 32 & ONES for c in counters])
    ours = np.stack(philox4x32((low, high, key[0], key[1]), key[0] | key[1] << 32), axis=-1).ravel()
    assert np.array_equal(ours, np.asarray(words))


def test_words_are_uniform_in_every_bit_and_every_position():
    words = dropout_words(seed=1, step=1, layer=0, shape=(500, 400))
    n = words.size
    for bit in range(32):
        assert_close(float((words >> np.uint32(bit) & np.uint32(1)).sum()), n / 2, count_bound(0.5, n))
    counts = np.bincount((words >> np.uint32(24)).ravel(), minlength=256)
    assert_close(counts, np.full(256, n / 256), count_bound(1 / 256, n))
    # Neighbours along either axis have nothing to do with each other.
    high = words >> np.uint32(31)
    for a, b in ((high[:, 1:], high[:, :-1]), (high[1:], high[:-1])):
        assert_close(float((a == b).sum()), a.size / 2, count_bound(0.5, a.size))


@given(
    seed=st.integers(0, 2**64 - 1), step=st.integers(0, 2**40), layer=st.integers(0, 2**16 - 1),
    rows=st.integers(1, 9), columns=st.integers(1, 9),
)  # fmt: skip
def test_each_element_has_its_own_word_whatever_the_shape(seed, step, layer, rows, columns):
    whole = dropout_words(seed, step, layer, (9, 9))
    assert whole.dtype == np.uint32
    assert np.array_equal(dropout_words(seed, step, layer, (rows, columns)), whole[:rows, :columns])
    row, column = rows - 1, columns - 1
    counter = (column // 4, row, layer | (step >> 32) << 16, step & ONES)
    assert whole[row, column] == philox4x32(counter, seed)[column % 4]


def test_words_do_not_repeat_between_steps_layers_and_seeds():
    keys = [(s, t, k) for s in (0, 1, 2**32, 2**63) for t in (0, 1, 2**32, 2**33) for k in (0, 1, 2**16 - 1)]
    words = np.concatenate([dropout_words(*key, (4, 8)).ravel() for key in keys])
    # Among 1,536 random words of 32 bits one coincidence is expected once in 3,600 draws.
    assert len(np.unique(words)) == len(words)


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**32 - 1), n=st.integers(1, 300))
def test_a_permutation_is_one(seed, epoch, n):
    order = permutation(seed, epoch, n)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, permutation(seed, epoch, n))


def test_permutations_depend_on_seed_and_epoch():
    orders = [tuple(permutation(seed, epoch, 50)) for seed in (0, 1, 2**32) for epoch in (0, 1, 2**31)]
    assert len(set(orders)) == len(orders)


def test_every_sample_is_as_likely_in_every_place():
    n, epochs = 6, 3000
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        counts[permutation(0, epoch, n), np.arange(n)] += 1
    assert_close(counts, np.full((n, n), epochs / n), count_bound(1 / n, epochs))


def test_shuffling_and_dropout_draw_from_different_streams():
    shuffled = np.argsort(dropout_words(0, 0, 0, (1, 100))[0], kind="stable")
    assert not np.array_equal(permutation(0, 0, 100), shuffled)
