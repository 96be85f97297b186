"""From a name or a path to a data set: the table of loaders, and the readers by kind of file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.data.csv_files import read_csv, read_csv_features
from mlp_scratch.data.dataset import Dataset, Task
from mlp_scratch.data.digits import load_digits
from mlp_scratch.data.image_sets import load_fashion_mnist, load_mnist
from mlp_scratch.data.npz_files import load_npz, read_npz_features
from mlp_scratch.data.product import load_xy
from mlp_scratch.errors import ArgumentError, unknown_name


class Loader(Protocol):
    """What makes a named data set."""

    def __call__(self, *, test_fraction: float = 0.2, seed: int = 0) -> Dataset: ...


loaders: Mapping[str, Loader] = {
    "digits": load_digits,
    "xy": load_xy,
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
}
"""The named data sets. A new one is a loader and a row."""


def load_dataset(
    source: str | os.PathLike[str],
    *,
    test_fraction: float = 0.2,
    seed: int = 0,
    target: str | None = None,
    task: Task | None = None,
) -> Dataset:
    """The data set of a name in `loaders`, or in a file whose name ends in .csv or .npz.

    Args:
        source: the name or the path.
        test_fraction: the share held back for testing; what is published in two parts keeps them.
        seed: of the split (or of the points of "xy").
        target: the name of the target's column, for CSV files; the last column by default.
        task: whether a file's targets are class labels or reals, where the file itself misleads: a CSV file of whole
            numbers is taken for class labels. A named set has one task.

    Raises `UnknownNameError`, `DataFileError`, `DownloadError`, and `ArgumentError` for options that don't fit.

    >>> load_dataset("xy")
    Dataset('xy', regression: 10000 training and 2500 test samples, 2 features, 1 target)
    """
    kind = _kind(source)
    if target is not None and kind != ".csv":
        raise ArgumentError("target", given=repr(target), expected=f"no target column for {os.fspath(source)!r}")
    if kind == ".csv":
        table = read_csv(Path(source), target=target, task=task)
        return table.dataset(Path(source), test_fraction=test_fraction, seed=seed)
    if kind == ".npz":
        return load_npz(Path(source), test_fraction=test_fraction, seed=seed, task=task)
    dataset = loaders[os.fspath(source)](test_fraction=test_fraction, seed=seed)
    if task not in (None, dataset.task):
        raise ArgumentError("task", given=repr(task), expected=f"{dataset.task!r}, the task of {dataset.name}")
    return dataset


def read_features(
    path: str | os.PathLike[str],
    *,
    n_features: int,
    feature_names: Sequence[str] = (),
    target: str | None = None,
    target_required: bool = False,
) -> Array:
    """The (N, n_features) features of a .csv or .npz file, to predict from.

    Of a CSV file with a header the columns `feature_names`, if given, are read, whatever stands beside them. Without
    names or a header, a CSV file may have a target column (`target`, or the last one) beside its features, which is
    left out; with `target_required`, the column `target` must be there. Of an NPZ file the array X is read.
    """
    n_features = checks.integer("n_features", n_features, at_least=1)
    kind = checks.path("path", path).suffix.lower()
    if kind == ".csv":
        return read_csv_features(
            Path(path),
            n_features=n_features,
            feature_names=feature_names,
            target=target,
            target_required=target_required,
        )
    if target is not None:
        raise ArgumentError("target", given=repr(target), expected=f"no target column for {os.fspath(path)!r}")
    if kind == ".npz":
        return read_npz_features(Path(path), n_features=n_features)
    raise ArgumentError("data", given=repr(os.fspath(path)), expected="a file whose name ends in .csv or .npz")


def _kind(source: str | os.PathLike[str]) -> str:
    """The kind of file, ".csv" or ".npz", or "" for a name in `loaders`."""
    if not isinstance(source, str | os.PathLike):
        raise ArgumentError("data", given=checks.describe(source), expected="the name of a data set or a path")
    suffix = Path(source).suffix.lower()
    if suffix in (".csv", ".npz"):
        return suffix
    if os.fspath(source) not in loaders:
        raise unknown_name("data", os.fspath(source), [*loaders, "FILE.csv", "FILE.npz"])
    return ""
