from importlib.resources import files

import numpy as np
import pytest

from mlp_scratch.data import load_digits


def test_what_comes_with_the_package():
    data = load_digits()
    assert (data.name, data.task, data.n_features, data.n_outputs) == ("digits", "classification", 64, 10)
    assert data.X_train.shape == (1438, 64)
    assert data.X_test.shape == (359, 64)
    assert data.X_train.dtype == data.X_test.dtype == np.uint8
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.X_train.max() == 16
    assert data.class_names == tuple("0123456789")
    assert "10.24432/C50P49" in data.source
    assert data.licence == "CC BY 4.0"


def test_the_attribution_is_beside_the_images():
    text = (files("mlp_scratch.data") / "files" / "ATTRIBUTION.txt").read_text(encoding="utf-8")
    for words in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "Changes:"):
        assert words in text


def test_classes_are_shared_out_evenly():
    data = load_digits(seed=5)
    whole = np.bincount(data.y_train) + np.bincount(data.y_test)
    np.testing.assert_allclose(np.bincount(data.y_test), 0.2 * whole, atol=1)


def test_the_seed_decides_the_split():
    one, again, other = load_digits(seed=1), load_digits(seed=1), load_digits(seed=2)
    np.testing.assert_array_equal(one.X_test, again.X_test)
    assert (one.X_test != other.X_test).any()
    assert len(load_digits(test_fraction=0.5).X_test) == 898


def test_the_same_images_as_in_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    ours = load_digits()
    X, y = np.concatenate([ours.X_train, ours.X_test]), np.concatenate([ours.y_train, ours.y_test])
    # The split shuffles, so compare the sorted rows of (pixels, label).
    mine = np.column_stack([X, y]).astype(float)
    hers = np.column_stack([theirs.data, theirs.target]).astype(float)
    np.testing.assert_array_equal(mine[np.lexsort(mine.T)], hers[np.lexsort(hers.T)])
