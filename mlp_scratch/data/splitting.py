"""Holding samples back for testing."""

import numpy as np
import numpy.typing as npt

from mlp_scratch import checks
from mlp_scratch._types import Array, IntArray
from mlp_scratch.errors import ArgumentError


def split(
    X: npt.ArrayLike, y: npt.ArrayLike, *, test_fraction: float = 0.2, seed: int = 0, stratify: bool = False
) -> tuple[Array, Array, Array, Array]:
    """Shuffle and split into (X_train, y_train, X_test, y_test).

    Args:
        X: features, (N, D).
        y: targets, N of them.
        test_fraction: the share of the samples held back, rounded to whole samples.
        seed: of the shuffle; the same one gives the same parts.
        stratify: `y` holds class labels, (N,), and every class is shared out in the same proportion, as nearly as
            whole samples allow.

    Raises `ArgumentError` where a part would be empty, or `X` and `y` differ in length.

    >>> X_train, y_train, X_test, y_test = split(np.eye(8), [0, 0, 0, 0, 1, 1, 1, 1], test_fraction=0.25, stratify=True)
    >>> sorted(y_test.tolist()), len(X_train)
    ([0, 1], 6)
    """
    X, y = checks.features("X", X), np.asarray(y)
    if y.ndim == 0 or len(y) != len(X):
        raise ArgumentError("y", given=f"shape {y.shape}", expected=f"{len(X)} targets, one for each row of X")
    if stratify and y.ndim != 1:
        raise ArgumentError("stratify", given="True", expected="False for targets that are not (N,) class labels")
    n_test = test_size(len(X), test_fraction)
    seed = checks.integer("seed", seed, at_least=0)
    order = np.random.default_rng(seed).permutation(len(X))
    if stratify:
        order = order[_evenly_spread(y[order])]
    test, train = order[:n_test], order[n_test:]
    return X[train], y[train], X[test], y[test]


def test_size(n_samples: int, test_fraction: float) -> int:
    """How many of `n_samples` are held back; raises `ArgumentError` where that leaves a part empty."""
    fraction = checks.real("test_fraction", test_fraction, above=0, below=1)
    n_test = round(n_samples * fraction)
    if not 0 < n_test < n_samples:
        raise ArgumentError(
            "test_fraction",
            given=f"{fraction:g} of {n_samples} samples",
            expected="at least one sample for training and one for testing",
            mend="use more samples or a fraction nearer to 0.5",
        )
    return n_test


def _evenly_spread(labels: Array) -> IntArray:
    """An order in which every stretch has about the same mix of classes.

    The k-th of a class's n samples, k = 0..n−1, goes to the place (k + ½) / n between start and end; so the first
    fraction f of all holds about f·n of them.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    by_class = np.argsort(codes, kind="stable")
    first_of_class = np.cumsum(counts) - counts
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(first_of_class, counts)
    return np.argsort((rank + 0.5) / counts[codes], kind="stable").astype(np.int64)
