"""A data set in two parts, with what is known about it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.data.scaler import Scaler
from mlp_scratch.errors import ArgumentError, unknown_name

Task: TypeAlias = Literal["classification", "regression"]

TASKS: tuple[Task, ...] = ("classification", "regression")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Dataset:
    """Features and targets, as read, split into a training and a test part.

    Attributes:
        X_train, X_test: features, (N, D); images keep their uint8 pixels, one image a row.
        y_train, y_test: class indices, int64 of shape (N,), or real targets, (N,) or (N, K).
        scaling: how the features are usually scaled; fitted on the training part, never on the test part.
        feature_names: D names, or none where features have no names (pixels).
        class_names: C names, the i-th that of class i; none for regression.
        source, licence: one line each: where the data are from, and on what terms.

    >>> from mlp_scratch.data import load_dataset
    >>> data = load_dataset("digits")
    >>> data
    Dataset('digits', classification: 1438 training and 359 test samples, 64 features, 10 classes)
    >>> data.scaling.transform(data.X_train, "float32").max()
    np.float32(1.0)
    """

    name: str
    task: Task
    X_train: Array
    y_train: Array
    X_test: Array
    y_test: Array
    scaling: Scaler
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise unknown_name("task", self.task, TASKS)
        checks.features("X_train", self.X_train)
        checks.features("X_test", self.X_test, n_features=self.n_features)
        for part in ("train", "test"):
            X, y = getattr(self, f"X_{part}"), getattr(self, f"y_{part}")
            if len(X) != len(y):
                raise ArgumentError(
                    f"y_{part}", given=f"{len(y)} targets", expected=f"{len(X)}, one for each row of X_{part}"
                )

    @property
    def n_features(self) -> int:
        """D, the number of inputs that a model of these data has."""
        return int(self.X_train.shape[1])

    @property
    def n_outputs(self) -> int:
        """The number of outputs that a model of these data has: C classes, or K real targets."""
        if self.task == "classification":
            return len(self.class_names)
        return 1 if self.y_train.ndim == 1 else int(self.y_train.shape[1])

    def __repr__(self) -> str:
        noun = "classes" if self.task == "classification" else "targets" if self.n_outputs > 1 else "target"
        return (
            f"Dataset({self.name!r}, {self.task}: {len(self.X_train)} training and {len(self.X_test)} test samples, "
            f"{self.n_features} features, {self.n_outputs} {noun})"
        )
