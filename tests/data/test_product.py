import numpy as np
import pytest

from mlp_scratch.data import load_xy
from mlp_scratch.errors import ArgumentError


def test_points_and_products():
    data = load_xy()
    assert (data.task, data.n_features, data.n_outputs, data.feature_names) == ("regression", 2, 1, ("x", "y"))
    assert data.X_train.shape == (10_000, 2)
    assert data.y_train.shape == (10_000,)
    assert data.X_train.dtype == data.y_train.dtype == np.float64
    np.testing.assert_array_equal(data.y_train, data.X_train[:, 0] * data.X_train[:, 1])
    np.testing.assert_array_equal(data.y_test, data.X_test[:, 0] * data.X_test[:, 1])


def test_points_are_uniform_on_the_square():
    X = load_xy(seed=7).X_train
    assert np.abs(X).max() <= 1
    # Each of 16 cells expects 625 of 10,000 points, with a deviation of 24.2; six deviations are 145.
    cells, _, _ = np.histogram2d(X[:, 0], X[:, 1], bins=4, range=[[-1, 1], [-1, 1]])
    assert np.abs(cells - 625).max() < 145


def test_a_model_that_answers_0():
    y = load_xy().y_train
    # Deviations of one |xy| and one (xy)^2 are 0.22 and 0.17; six of the means' over 10,000 points are 0.0133, 0.0100.
    assert abs(np.abs(y).mean() - 1 / 4) < 0.0133
    assert abs((y**2).mean() - 1 / 9) < 0.0100


def test_the_test_points_are_others_and_their_number_follows_the_fraction():
    data = load_xy(test_fraction=0.5)
    assert len(data.X_test) == 10_000
    assert not set(map(tuple, data.X_train)) & set(map(tuple, data.X_test))
    np.testing.assert_array_equal(data.X_train, load_xy(test_fraction=0.2).X_train)


def test_the_seed_decides():
    np.testing.assert_array_equal(load_xy(seed=3).X_test, load_xy(seed=3).X_test)
    assert (load_xy(seed=3).X_train != load_xy(seed=4).X_train).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_fraction": 1.0}, "test_fraction: got 1.0"),
        ({"seed": -1}, "seed: got -1"),
        ({"n_train": 0}, "n_train: got 0, expected an integer of at least 1"),
    ],
)
def test_bad_arguments_are_named(options, words):
    with pytest.raises(ArgumentError, match=words):
        load_xy(**options)
