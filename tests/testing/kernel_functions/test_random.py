"""What is drawn by chance, masks and orders, beside the generators of `mlp_scratch.random`."""

import numpy as np
import pytest

from mlp_kernels.cpu import dropout, shuffling
from mlp_scratch.random import dropout_words, permutation, philox4x32
from tests.testing.kernel_calls import PLAIN, calling, inlining, tile_of

LAST_BIT = 404


def test_the_words_are_the_generators():
    for seed in (0, 2**64 - 1, 0x9E3779B97F4A7C15):
        for counter in ((0, 0, 0, 0), (2**32 - 1, 1, 2**31, 7), (3, 2, 1, 0)):
            words = calling(dropout.philox, 0, 5)(*map(np.uint64, counter), np.uint64(seed))
            assert [int(word) for word in words] == [int(word) for word in philox4x32(counter, seed)]


@pytest.mark.parametrize(("first_feature", "features"), [(0, 1), (0, 4), (4, 7)])
@pytest.mark.parametrize(("layer", "step"), [(3, 1), (0, 2**32 + 5), (2, (7 << 32) + 2**31)])
@pytest.mark.skipif(PLAIN, reason="written in vectors, which only the compiler has")
def test_a_mask_is_dropouts(first_feature, features, layer, step):
    tile, first_row, p, seed = tile_of("float64", lanes=2), 24, 0.3, 11
    width = tile.columns
    mask = np.full(-(-features // 4) * 4 * width + 1, 9.0)
    arguments = (first_row, first_feature, features, p, np.uint64(seed), layer, step)
    calling(dropout.draw_mask, 1, 7, tile=True)(tile, mask, *arguments)
    words = dropout_words(seed, step, layer, (first_row + width, first_feature + features))
    kept = (words >= round(p * 2**32))[first_row:, first_feature:].T
    assert np.array_equal(mask[: features * width].reshape(features, width), kept / (1 - p))
    assert mask[-1] == 9.0


@pytest.mark.skipif(PLAIN, reason="written in vectors, which only the compiler has")
def test_a_word_equal_to_the_threshold_keeps_its_element():
    words, tile = philox4x32((0, 0, 0, 1), 0), tile_of("float64", lanes=2)
    for position, word in enumerate(words):
        mask = np.zeros((4, tile.columns))
        calling(dropout.draw_mask, 1, 7, tile=True)(tile, mask, 0, 0, 4, int(word) / 2**32, np.uint64(0), 0, 1)
        assert mask[position, 0] > 0


def test_a_product_with_a_mask():
    x, mask, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, 4.0]), np.full(3, 9.0)
    calling(dropout.multiply, 3, 1)(x, mask, y, 2)
    assert y.tolist() == [2.0, 0.0, 9.0]


def shuffled(seed, epoch, rows):
    order = np.full(len(rows), -1)
    inlining(shuffling.shuffle)(np.uint64(seed & 2**64 - 1), epoch, rows, order)
    return order


@pytest.mark.parametrize(
    "n", [1, 2, 4, 5, 40, 63, 64, 65, 2000] if PLAIN else [1, 2, 3, 5, 61, 62, 63, 64, 65, 127, 4096, 8193, 100_001]
)
@pytest.mark.parametrize("seed", [0, 2**64 - 1, 2**70 + 3])
def test_an_order_is_the_generators(seed, n):
    for epoch in (0, 3, 2**32 - 1):
        expected = permutation(seed, epoch, n)
        assert np.array_equal(shuffled(seed, epoch, np.arange(n)), expected)
        assert np.array_equal(shuffled(seed, epoch, 7 - 3 * np.arange(n)), 7 - 3 * expected)


def test_words_that_differ_in_their_last_bit_are_in_order():
    """Of 2,000 samples under this seed two have words that differ in nothing else, the smaller one behind."""
    assert np.array_equal(shuffled(LAST_BIT, 0, np.arange(2000)), permutation(LAST_BIT, 0, 2000))


@pytest.mark.parametrize("n", [1, 63, 64, 65, 66, 80, 128, 129, 8192, 8193, 9000])
@pytest.mark.skipif(not PLAIN, reason="compiled, a kernel calls what it was compiled with")
def test_what_is_drawn_and_how_it_is_sorted(n, monkeypatch):
    """Each word once, in vectors where they are full; two digits from the top, 4 to 11 bits long, as n asks."""
    drawn, passes, draw_one, draw_many = [], [], shuffling.philox, shuffling._draw_blocks

    def one(block, *rest):
        drawn.append(int(block))
        return draw_one(block, *rest)

    def many(keys, first, *rest):
        drawn.extend(range(int(first), int(first) + shuffling.LANES))
        vectors.append(int(first))
        draw_many(keys, first, *rest)

    vectors = []
    monkeypatch.setattr(shuffling, "philox", one)
    monkeypatch.setattr(shuffling, "_draw_blocks", many)
    monkeypatch.setattr(shuffling, "_sort_by_digit", lambda keys, lowest, bits, result: passes.append((lowest, bits)))
    monkeypatch.setattr(shuffling, "_insert", lambda keys, rows, order: None)
    shuffling.shuffle(np.uint64(0), 0, np.arange(n), np.empty(n, np.int64))
    assert drawn == list(range(-(-n // 4)))
    assert vectors == list(range(0, n // 4 - shuffling.LANES + 1, shuffling.LANES))
    bits = min(max(int(np.ceil(np.log2(n / 4))), 4), 11)
    assert passes == [(64 - 2 * bits, bits), (64 - bits, bits)]


@pytest.mark.parametrize("bits", [2, 11])
@pytest.mark.parametrize("shift", [0, 11, 53])
def test_a_pass_of_the_sort_is_stable(shift, bits):
    rng = np.random.default_rng(shift)
    keys = rng.integers(0, 2**64, 60, dtype=np.uint64)
    keys[::3] = keys[0]
    keys[1], keys[2] = 0, 2**64 - 1
    digits, result = keys >> np.uint64(shift) & np.uint64(2**bits - 1), np.zeros(60, np.uint64)
    inlining(shuffling._sort_by_digit)(keys, shift, bits, result)
    assert np.array_equal(result, keys[np.argsort(digits, kind="stable")])


def test_insertion_sorts_whatever_it_is_given():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 1000, 60)
    keys = rng.integers(0, 4, 60).astype(np.uint64) << np.uint64(32) | rng.permutation(60).astype(np.uint64)
    expected, order = np.sort(keys), np.full(60, -1)
    inlining(shuffling._insert)(keys, rows, order)
    assert np.array_equal(keys, expected)
    assert np.array_equal(order, rows[expected & np.uint64(0xFFFFFFFF)])
