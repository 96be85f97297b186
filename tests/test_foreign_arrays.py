"""Data from other libraries that NumPy can't read, or in which values are missing: which argument, and why."""

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from tests.refusals import assert_refused

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.array([0, 1, 2, 0, 1, 2])


class Unreadable:
    """What has an array, in principle."""

    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error


class NAType:
    """As that of pandas: equal to nothing, and neither true nor false."""

    def __repr__(self):
        return "<NA>"

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = None


@pytest.fixture
def model():
    return ms.MLP([3, 4, 3], seed=0)


def calls(model, bad):
    """Every way to give data, and what the argument is called."""
    return {
        "X": lambda: model.fit(bad, Y),
        "y": lambda: model.fit(X, bad),
        "sample_weight": lambda: model.fit(X, Y, sample_weight=bad),
        "validation X": lambda: model.fit(X, Y, validation=(bad, Y)),
    }


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight", "validation X"])
@pytest.mark.parametrize("kind", [TypeError, RuntimeError, ValueError])
def test_an_object_that_numpy_cannot_read(kind, argument, model):
    """The object's own words are on one line."""
    message = (
        rf"{argument}: got Unreadable that is no array \(it is on a GPU\), expected an array of numbers; "
        r"make it one of NumPy's first"
    )
    bad = Unreadable(kind("it is on\n  a GPU"))
    assert_refused(calls(model, bad)[argument], ArgumentTypeError, message)
    if kind is not ValueError:  # which a list has when its rows don't fit together
        assert_refused(calls(model, [bad, bad])[argument], ArgumentTypeError, message.replace("Unreadable", "list"))


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda torch, X: torch.tensor(X, requires_grad=True), "Can't call numpy"),
        (lambda torch, X: torch.tensor(X).bfloat16(), "BFloat16"),
        (lambda torch, X: torch.tensor(X).to_sparse(), "Sparse"),
        (lambda torch, X: torch.tensor(X, device="meta"), "meta"),
    ],
    ids=["with a gradient", "bfloat16", "sparse", "meta"],
)
def test_tensors(make, said, argument, model):
    torch = pytest.importorskip("torch")
    message = rf"{argument}: got Tensor that is no array \(.*{said}.*\), expected .*"
    assert_refused(calls(model, make(torch, X))[argument], ArgumentTypeError, message)


@pytest.mark.parametrize("missing", [NAType(), None, float("nan"), np.float64("nan")])
def test_missing_labels(missing, model):
    y = Y.astype(object)
    y[4] = missing
    message = r"y: got (<NA>|None|nan) at position 4, expected no missing label; drop or fill such samples"
    assert_refused(lambda: model.fit(X, y), ArgumentError, message)
    y = np.array(["cat", "dog", "eel", "cat", missing, "eel"], object)
    assert_refused(lambda: model.fit(X, y), ArgumentError, message)


def test_missing_labels_among_numbers(model):
    y = Y.astype(float)
    y[4] = np.nan
    message = r"y: got nan at position 4, expected no missing label; drop or fill such samples"
    assert_refused(lambda: model.fit(X, y), ArgumentError, message)


def test_missing_features(model):
    bad = X.astype(object)
    bad[2, 1] = NAType()
    message = r"X: got <NA> at position \(2, 1\), expected no missing value; drop or fill such samples"
    assert_refused(lambda: model.fit(bad, Y), ArgumentError, message)
    assert_refused(lambda: model.predict(bad), ArgumentError, message)
