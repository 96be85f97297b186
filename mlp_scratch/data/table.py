"""What a file of samples holds, once read: features, targets and their names, not yet split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlp_scratch._types import Array, IntArray
from mlp_scratch.data._problems import bad_file
from mlp_scratch.data.dataset import Dataset, Task
from mlp_scratch.data.scaler import Scaler
from mlp_scratch.data.splitting import split


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """The samples of one file, in its order.

    Attributes:
        X: features, (N, D).
        y: class indices, int64 of shape (N,), or real targets, (N,) or (N, K).
        feature_names: D names, or none.
        class_names: C names, the i-th that of class i; none for regression.
    """

    X: Array
    y: Array
    task: Task
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def dataset(self, path: Path | str, *, test_fraction: float, seed: int) -> Dataset:
        """The table split by `seed` (stratified for classification), with features standardised by default."""
        X_train, y_train, X_test, y_test = split(
            self.X, self.y, test_fraction=test_fraction, seed=seed, stratify=self.task == "classification"
        )
        return Dataset(
            name=Path(path).stem,
            task=self.task,
            X_train=X_train,
            y_train=y_train,
            X_test=X_test,
            y_test=y_test,
            scaling=Scaler.fit(X_train, kind="standard"),
            feature_names=self.feature_names,
            class_names=self.class_names,
            source=str(path),
        )


def class_indices(path: Path | str, labels: Sequence[str | float]) -> tuple[IntArray, tuple[str, ...]]:
    """Labels, all texts or all numbers, as indices into their sorted distinct values, and those values as names.

    Raises `DataFileError` about `path` where there are fewer than two classes.

    >>> class_indices("a file", [30, 9, 30])
    (array([1, 0, 1]), ('9', '30'))
    """
    values = sorted(set(labels))
    if len(values) < 2:
        raise bad_file(path, given=f"one class only, {values[0]!r}", expected="at least two classes")
    index = {value: i for i, value in enumerate(values)}
    return np.array([index[label] for label in labels], dtype=np.int64), tuple(map(str, values))
