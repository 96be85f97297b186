import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp_scratch.data import split
from mlp_scratch.errors import ArgumentError, ArgumentTypeError


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=60),
    test_fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**40),
    stratify=st.booleans(),
)
def test_every_sample_is_in_one_part_with_its_target(labels, test_fraction, seed, stratify):
    y = np.array(labels)
    X = np.column_stack([np.arange(len(y)), y])
    n_test = round(len(y) * test_fraction)
    if n_test in (0, len(y)):
        with pytest.raises(ArgumentError, match="at least one sample for training and one for testing"):
            split(X, y, test_fraction=test_fraction, seed=seed, stratify=stratify)
        return
    X_train, y_train, X_test, y_test = split(X, y, test_fraction=test_fraction, seed=seed, stratify=stratify)
    assert len(X_test) == n_test
    assert sorted(np.concatenate([X_train, X_test])[:, 0]) == list(range(len(y)))
    np.testing.assert_array_equal(X_train[:, 1], y_train)
    np.testing.assert_array_equal(X_test[:, 1], y_test)


@settings(deadline=None)
@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=6), seed=st.integers(0, 2**32))
def test_stratified_shares_are_exact_where_they_are_whole(counts, seed):
    y = np.repeat(np.arange(len(counts)), np.array(counts) * 5)
    _, y_train, _, y_test = split(np.zeros((len(y), 1)), y, test_fraction=0.2, seed=seed, stratify=True)
    assert np.bincount(y_test).tolist() == counts
    assert np.bincount(y_train).tolist() == [4 * count for count in counts]


@pytest.mark.parametrize("seed", range(10))
def test_stratified_shares_are_the_nearest_where_they_are_not_whole(seed):
    y = np.repeat([0, 1], [4, 16])  # a fifth: 0.8 and 3.2 samples
    y_test = split(np.zeros((20, 1)), y, test_fraction=0.2, seed=seed, stratify=True)[3]
    assert np.bincount(y_test).tolist() == [1, 3]


def test_stratified_parts_are_shuffled():
    y = np.repeat([0, 1], 500)
    X = np.arange(1000)[:, np.newaxis]
    _, y_train, X_test, _ = split(X, y, stratify=True)
    assert 150 < y_train[:400].sum() < 250  # 200 expected; a file sorted by class must not stay sorted
    assert 60 < (X_test[:, 0] < 300).sum() + (X_test[:, 0] >= 700).sum() < 160  # 120 expected


def test_the_seed_decides():
    X, y = np.arange(100)[:, np.newaxis], np.arange(100)
    for stratify in (False, True):
        first, again, other = (split(X, y % 2, seed=seed, stratify=stratify)[2] for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_targets_of_several_columns_and_dtypes_are_kept():
    X, y = np.arange(10, dtype=np.uint8)[:, np.newaxis], np.arange(20.0, dtype=np.float32).reshape(10, 2)
    X_train, y_train, _, y_test = split(X, y, test_fraction=0.5)
    assert X_train.dtype == np.uint8
    assert y_test.dtype == np.float32
    np.testing.assert_array_equal(y_train[:, 0], 2 * X_train[:, 0])


X4, Y4 = np.zeros((4, 1)), np.zeros(4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: split(X4, Y4, test_fraction=0.0), ArgumentError, "test_fraction: got 0.0, .*above 0"),
        (lambda: split(X4, Y4, test_fraction=1), ArgumentError, "test_fraction: got 1.0, .*below 1"),
        (lambda: split(X4, Y4, test_fraction=float("nan")), ArgumentError, "test_fraction: got nan"),
        (lambda: split(X4, Y4, test_fraction="half"), ArgumentTypeError, r"test_fraction: got 'half' \(str\)"),
        (lambda: split(X4, Y4, test_fraction=0.1), ArgumentError, "test_fraction: got 0.1 of 4 samples.*nearer to 0.5"),
        (lambda: split(X4[:1], Y4[:1], test_fraction=0.5), ArgumentError, "test_fraction: got 0.5 of 1 samples"),
        (lambda: split(X4, Y4[:3]), ArgumentError, r"y: got shape \(3,\), expected 4 targets"),
        (lambda: split(X4, 0), ArgumentError, r"y: got shape \(\), expected 4 targets"),
        (lambda: split(Y4, Y4), ArgumentError, r"X: got shape \(4,\)"),
        (lambda: split(X4, Y4, seed=-1), ArgumentError, "seed: got -1, expected an integer of at least 0"),
        (lambda: split(X4, Y4, seed=0.5), ArgumentTypeError, "seed: got 0.5"),
        (lambda: split(X4, X4, stratify=True), ArgumentError, "stratify: got True, expected False"),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
