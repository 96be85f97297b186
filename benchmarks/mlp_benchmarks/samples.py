"""The samples of a case, ready for every contender: float32 features, loaded and scaled before any clock runs."""

import os
from dataclasses import dataclass

import numpy as np

from mlp_benchmarks.cases import Case
from mlp_scratch._types import Array
from mlp_scratch.data import Dataset, load_dataset
from mlp_scratch.data.download import cache_folder
from mlp_scratch.data.image_sets import MNIST
from mlp_scratch.errors import DataFileError

RANDOM_SAMPLES = 10_000


@dataclass(frozen=True, eq=False)
class Samples:
    """Features, float32 (N, D), and targets: class indices, int64 (N,), or reals, float32 (N, 1).

    `X_test` and `y_test` are those held back, as far as the data set has any.
    """

    name: str
    X: Array
    y: Array
    X_test: Array
    y_test: Array


def load_samples(case: Case) -> Samples:
    """The training part of the data set that the case names.

    MNIST is taken from `MLP_SCRATCH_DATA` or the cache and never downloaded: without it, random pixels and labels of
    the same shape take its place under the name "random". That changes no time, since dense arithmetic takes as
    long on any finite numbers.

    >>> from mlp_benchmarks.cases import CASES
    >>> load_samples(CASES["xy-4x6"]).y.shape
    (10000, 1)
    """
    if case.data == "random":
        return _random_images(case)
    if case.data == "mnist":
        dataset = _mnist_here()
        if dataset is None:
            return _random_images(case)
    else:
        dataset = load_dataset(case.data)
    X, X_test = (
        np.ascontiguousarray(dataset.scaling.transform(part, "float32")) for part in (dataset.X_train, dataset.X_test)
    )
    y, y_test = dataset.y_train, dataset.y_test
    if dataset.task == "regression":
        y, y_test = (part.astype(np.float32).reshape(len(part), -1) for part in (y, y_test))
    return Samples(dataset.name, X, y, X_test, y_test)


def _mnist_here() -> Dataset | None:
    """MNIST, if its files are on this machine."""
    if not os.environ.get("MLP_SCRATCH_DATA"):
        cached = cache_folder() / MNIST.name
        if not all((cached / file).is_file() for file in MNIST.sha256):
            return None
    try:
        return load_dataset("mnist")
    except DataFileError:  # a folder with other data in it
        return None


def _random_images(case: Case) -> Samples:
    rng = np.random.default_rng(0)
    X = rng.random((RANDOM_SAMPLES, case.widths[0]), dtype=np.float32)
    y = rng.integers(0, case.widths[-1], RANDOM_SAMPLES)
    return Samples("random", X, y, X[:0], y[:0])
