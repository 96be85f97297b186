"""The digits: small images of handwritten digits, which come with the package."""

from importlib.resources import files

import numpy as np

from mlp_scratch.data.dataset import Dataset
from mlp_scratch.data.scaler import Scaler
from mlp_scratch.data.splitting import split


def load_digits(*, test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """1,797 images of handwritten digits, 8×8 pixels of 0..16, in ten classes.

    The split is shuffled and stratified by `seed`. Default scaling: pixels / 16.

    Source: E. Alpaydin, C. Kaynak, 1998, the test part of "Optical Recognition of Handwritten Digits"; the same
    images, in the same order, as scikit-learn's `load_digits`.

    >>> load_digits(seed=1).X_train.dtype
    dtype('uint8')
    """
    with (files("mlp_scratch.data") / "files" / "digits.npz").open("rb") as file, np.load(file) as arrays:
        X, y = arrays["X"], arrays["y"].astype(np.int64)
    X_train, y_train, X_test, y_test = split(X, y, test_fraction=test_fraction, seed=seed, stratify=True)
    return Dataset(
        name="digits",
        task="classification",
        X_train=X_train,
        y_train=y_train,
        X_test=X_test,
        y_test=y_test,
        scaling=Scaler.by_range(0, 16),
        class_names=tuple("0123456789"),
        source="E. Alpaydin, C. Kaynak, 1998, UCI Machine Learning Repository, doi:10.24432/C50P49",
        licence="CC BY 4.0",
    )
