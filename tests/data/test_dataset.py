import numpy as np
import pytest

from mlp_scratch.data import Dataset, Scaler
from mlp_scratch.errors import ArgumentError, UnknownNameError

GOOD = {
    "name": "tiny",
    "task": "regression",
    "X_train": np.zeros((3, 2)),
    "y_train": np.zeros((3, 4)),
    "X_test": np.ones((1, 2)),
    "y_test": np.ones((1, 4)),
    "scaling": Scaler.by_range(0, 1),
}


def test_sizes_and_repr():
    data = Dataset(**GOOD)
    assert (data.n_features, data.n_outputs) == (2, 4)
    assert repr(data) == "Dataset('tiny', regression: 3 training and 1 test samples, 2 features, 4 targets)"
    flat = Dataset(**GOOD | {"y_train": np.zeros(3), "y_test": np.zeros(1)})
    assert flat.n_outputs == 1
    assert repr(flat).endswith("2 features, 1 target)")


def test_it_is_frozen():
    with pytest.raises(AttributeError):
        Dataset(**GOOD).X_train = np.zeros((1, 1))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"task": "clustering"}, UnknownNameError, "task: got 'clustering', expected one of classification, regress"),
        ({"X_train": np.zeros(3)}, ArgumentError, r"X_train: got shape \(3,\)"),
        ({"X_test": np.zeros((1, 3))}, ArgumentError, r"X_test: got shape \(1, 3\), expected shape \(N, 2\)"),
        ({"y_train": np.zeros(2)}, ArgumentError, "y_train: got 2 targets, expected 3"),
        ({"y_test": np.zeros(2)}, ArgumentError, "y_test: got 2 targets, expected 1"),
    ],
)
def test_parts_that_do_not_fit(change, error, words):
    with pytest.raises(error, match=words):
        Dataset(**GOOD | change)
