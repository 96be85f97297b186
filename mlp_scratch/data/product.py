"""The product of two numbers: the smallest regression task that a linear model cannot do."""

import numpy as np

from mlp_scratch import checks
from mlp_scratch.data.dataset import Dataset
from mlp_scratch.data.scaler import Scaler


def load_xy(*, test_fraction: float = 0.2, seed: int = 0, n_train: int = 10_000) -> Dataset:
    """f(x, y) = x·y at points drawn uniformly from [−1, 1]².

    `n_train` points to train on, whatever `test_fraction`, and further ones to test on, so many that they are
    `test_fraction` of all: 2,500 by default. Features (N, 2) and targets (N,) are float64. Default scaling: none.

    A model that always answers 0 has a mean absolute error of 1/4 and a mean squared error of 1/9.

    >>> data = load_xy(seed=3)
    >>> data.X_train.shape, data.X_test.shape
    ((10000, 2), (2500, 2))
    >>> bool((data.y_test == data.X_test[:, 0] * data.X_test[:, 1]).all())
    True
    """
    fraction = checks.real("test_fraction", test_fraction, above=0, below=1)
    n_train = checks.integer("n_train", n_train, at_least=1)
    n_test = max(1, round(n_train * fraction / (1 - fraction)))
    rng = np.random.default_rng(checks.integer("seed", seed, at_least=0))
    X_train = rng.uniform(-1.0, 1.0, (n_train, 2))
    X_test = rng.uniform(-1.0, 1.0, (n_test, 2))
    return Dataset(
        name="xy",
        task="regression",
        X_train=X_train,
        y_train=X_train.prod(axis=1),
        X_test=X_test,
        y_test=X_test.prod(axis=1),
        scaling=Scaler.fit(X_train, kind="none"),
        feature_names=("x", "y"),
        source=f"generated: uniform points on [-1, 1]^2, seed {seed}",
        licence="none needed",
    )
