import numpy as np
import pytest

from mlp_scratch.data import load_dataset, load_npz, loaders, read_csv, read_features, read_idx
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, DataFileError, UnknownNameError


@pytest.fixture
def table(tmp_path):
    """A file of 50 flowers, 30 of one kind and 20 of another."""
    path = tmp_path / "flowers.csv"
    rows = [f"{i},{i * i},{'rose' if i < 30 else 'iris'},{i}" for i in range(50)]
    path.write_text("\n".join(["a,b,kind,count", *rows]))
    return path


def test_the_names():
    assert set(loaders) == {"digits", "xy", "mnist", "fashion-mnist"}


@pytest.mark.parametrize("name", ["digits", "xy"])
def test_named_sets_take_the_options(name):
    data = load_dataset(name, test_fraction=0.5, seed=4)
    same = loaders[name](test_fraction=0.5, seed=4)
    assert data.name == name
    np.testing.assert_array_equal(data.X_test, same.X_test)
    assert len(data.X_train) - len(data.X_test) in (-1, 0, 1)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_named_images(real_data, name):
    data = load_dataset(name, test_fraction=0.5)
    assert data.name == name
    assert data.n_features == 784


def test_a_csv_file(table):
    for source in (table, str(table)):
        data = load_dataset(source, target="kind", seed=1)
        assert (data.name, data.class_names, data.feature_names) == ("flowers", ("iris", "rose"), ("a", "b", "count"))
        assert np.bincount(data.y_test).tolist() == [4, 6]
        assert data.source == str(table)
        scaled = data.scaling.transform(data.X_train, "float64")
        np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-14)
        np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-14)


def test_the_ending_in_capitals(table):
    shouting = table.rename(table.with_name("FLOWERS.CSV"))
    assert load_dataset(shouting, target="kind").name == "FLOWERS"


def test_whole_numbers_can_be_reals(table, tmp_path):
    text = table.read_text().replace("rose", "1").replace("iris", "0")
    (tmp_path / "numbers.csv").write_text(text)
    assert load_dataset(tmp_path / "numbers.csv").n_outputs == 50
    data = load_dataset(tmp_path / "numbers.csv", task="regression")
    assert (data.task, data.n_outputs) == ("regression", 1)
    np.testing.assert_array_equal(data.y_train, data.X_train[:, 0])


def test_an_npz_file(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.arange(20).reshape(10, 2), y=np.arange(10) % 2)
    data = load_dataset(tmp_path / "a.npz", test_fraction=0.4)
    assert (data.name, data.task, len(data.X_test)) == ("a", "classification", 4)
    assert load_dataset(tmp_path / "a.npz", task="regression").task == "regression"


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        ("digit", {}, UnknownNameError, "data: got 'digit', expected one of .*; did you mean 'digits'"),
        ("fashion_mnist", {}, UnknownNameError, "did you mean 'fashion-mnist'"),
        ("data.txt", {}, UnknownNameError, "data: got 'data.txt', expected one of FILE.csv, FILE.npz, digits"),
        ("", {}, UnknownNameError, "data: got ''"),
        (None, {}, ArgumentError, r"data: got None \(NoneType\), expected the name of a data set or a path"),
        ("absent.csv", {}, DataFileError, "absent.csv: got 'No such file"),
        ("absent.npz", {}, DataFileError, "absent.npz: got 'No such file"),
        ("digits", {"target": "kind"}, ArgumentError, "target: got 'kind', expected no target column for 'digits'"),
        ("a.npz", {"target": "kind"}, ArgumentError, "target: got 'kind', expected no target column for 'a.npz'"),
        ("a.csv", {"target": 0}, ArgumentTypeError, r"target: got 0 \(int\), expected the name of a column"),
        ("digits", {"task": "regression"}, ArgumentError, "task: got 'regression', expected 'classification'"),
        ("digits", {"test_fraction": 0}, ArgumentError, "test_fraction: got 0.0"),
        ("digits", {"test_fraction": 1e-9}, ArgumentError, "test_fraction: got 1e-09 of 1797 samples"),
        ("digits", {"seed": -1}, ArgumentError, "seed: got -1"),
    ],
)
def test_bad_arguments_are_named(source, options, error, words):
    with pytest.raises(error, match=words):
        load_dataset(source, **options)


def test_features_to_predict_from(table, tmp_path):
    rows = read_features(table, n_features=3, target="kind")
    np.testing.assert_array_equal(rows[:, 1], rows[:, 0] ** 2)
    np.savez(tmp_path / "a.npz", X=rows)
    np.testing.assert_array_equal(read_features(str(tmp_path / "a.npz"), n_features=3), rows)


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("digits", {}, "data: got 'digits', expected a file whose name ends in .csv or .npz"),
        ("a.npz", {"target": "kind"}, "target: got 'kind', expected no target column for 'a.npz'"),
        ("a.csv", {"n_features": 0}, "n_features: got 0"),
        (None, {}, r"path: got None \(NoneType\), expected the path of a file"),
    ],
)
def test_features_from_elsewhere(path, options, words):
    with pytest.raises(ArgumentError, match=words):
        read_features(path, **{"n_features": 2} | options)


@pytest.mark.parametrize("read", [read_csv, load_npz, read_idx])
@pytest.mark.parametrize("path", [None, 0])
def test_what_is_no_path(read, path):
    with pytest.raises(ArgumentTypeError, match=rf"path: got {path} \(\w+\), expected the path of a file"):
        read(path)


def test_features_by_name(table):
    np.testing.assert_array_equal(
        read_features(table, n_features=2, feature_names=("count", "a")), np.arange(50.0)[:, np.newaxis] + [0, 0]
    )
    np.testing.assert_array_equal(
        read_features(table, n_features=2, feature_names=("b", "a"))[:, 0], np.arange(50.0) ** 2
    )
