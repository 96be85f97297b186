import io
import zipfile

import numpy as np
import pytest

from mlp_scratch.data import load_npz
from mlp_scratch.data.npz_files import read_npz_features
from mlp_scratch.errors import ArgumentError, DataFileError, UnknownNameError

X = np.arange(20.0).reshape(10, 2)
LABELS = np.array([3, 5] * 5)


@pytest.fixture
def save(tmp_path):
    def save_arrays(**arrays):
        path = tmp_path / "file.npz"
        np.savez(path, **arrays)
        return path

    return save_arrays


def everything(data, part):
    return np.concatenate([getattr(data, f"{part}_train"), getattr(data, f"{part}_test")])


@pytest.mark.parametrize(
    ("y", "task", "class_names"),
    [
        (LABELS, "classification", ("3", "5")),
        (LABELS.astype(np.uint8), "classification", ("3", "5")),
        (LABELS == 3, "classification", ("False", "True")),
        (np.array(["rose", "iris"] * 5), "classification", ("iris", "rose")),
        (LABELS / 2, "regression", ()),
        (np.stack([LABELS / 2, LABELS / 4], axis=1), "regression", ()),
    ],
    ids=["integers", "bytes", "booleans", "texts", "reals", "pairs of reals"],
)
def test_one_pair_is_split(save, y, task, class_names):
    data = load_npz(save(X=X, y=y), seed=3)
    assert (data.name, data.task, data.class_names) == ("file", task, class_names)
    assert (len(data.X_train), len(data.X_test)) == (8, 2)
    for row, target in zip(everything(data, "X"), everything(data, "y"), strict=True):
        original = y[int(row[0]) // 2]
        if task == "classification":
            assert class_names[target] == str(original)
        else:
            np.testing.assert_array_equal(target, original)


def test_two_pairs_are_kept(save):
    path = save(X_train=X[:7], y_train=LABELS[:7], X_test=X[7:], y_test=np.array([5, 5, 9]))
    data = load_npz(path, test_fraction=0.5)
    np.testing.assert_array_equal(data.X_train, X[:7])
    assert data.class_names == ("3", "5", "9")
    assert data.y_test.tolist() == [1, 1, 2]
    assert data.y_train.tolist() == [0, 1, 0, 1, 0, 1, 0]
    np.testing.assert_array_equal(data.scaling.shift, X[:7].mean(axis=0))


@pytest.mark.parametrize("train", ["int8", "int64", "uint64", "bool"])
@pytest.mark.parametrize("test", ["uint8", "int64", "uint64", "bool"])
def test_integers_of_any_two_dtypes_are_class_labels(save, train, test):
    y = np.array([0, 1] * 5)
    path = save(X_train=X, y_train=y.astype(train), X_test=X[:4], y_test=y[:4].astype(test))
    data = load_npz(path)
    assert data.task == "classification"
    assert data.class_names == (("False", "True") if train == test == "bool" else ("0", "1"))
    assert (data.y_train.tolist(), data.y_test.tolist()) == (y.tolist(), y[:4].tolist())
    assert load_npz(path, task="regression").y_test.tolist() == [0.0, 1.0, 0.0, 1.0]


def test_large_labels_keep_every_digit(save):
    big = np.array([2**63 - 1, 2**63 - 2] * 5)
    data = load_npz(save(X_train=X, y_train=big, X_test=X[:1], y_test=big[:1].astype(np.uint64) + np.uint64(1)))
    assert data.class_names == (str(2**63 - 2), str(2**63 - 1), str(2**63))


def test_the_task_can_be_said_where_the_parts_differ(save):
    path = save(X_train=X, y_train=LABELS, X_test=X, y_test=LABELS.astype(np.float32))
    assert load_npz(path, task="regression").y_test.tolist() == LABELS.tolist()
    assert load_npz(path, task="classification").n_outputs == 2


def test_the_dtype_is_kept_and_the_byte_order_made_native(save):
    assert load_npz(save(X=X.astype(np.uint8), y=LABELS)).X_train.dtype == np.uint8
    back = load_npz(save(X=X.astype(">f4"), y=LABELS)).X_train
    assert back.dtype.isnative
    assert back.dtype == np.float32


def test_the_task_can_be_said(save):
    data = load_npz(save(X=X, y=LABELS), task="regression")
    assert sorted(everything(data, "y")) == [3.0] * 5 + [5.0] * 5
    assert data.y_train.dtype == np.float64
    assert load_npz(save(X=X, y=LABELS / 2), task="classification").class_names == ("1.5", "2.5")


NAN = X.copy()
NAN[4, 1] = np.nan
BAD_ARRAYS = [
    ({"X": X, "labels": LABELS}, ": got arrays X, labels, expected arrays X_train, y_train, X_test, y_test, or X, y"),
    ({}, ": got arrays (none), expected"),
    ({"X": X, "y": LABELS[:9]}, ", array y: got shape (9,) of int64, expected 10 targets, one for each row"),
    (
        {"X": X[:, 0], "y": LABELS},
        ", array X: got shape (10,) of float64, expected an array of numbers of shape (N, D)",
    ),
    ({"X": X.reshape(10, 1, 2), "y": LABELS}, ", array X: got shape (10, 1, 2) of float64, expected an array of numb"),
    ({"X": X[:0], "y": LABELS[:0]}, ", array X: got shape (0, 2) of float64, expected"),
    ({"X": X.astype(complex), "y": LABELS}, ", array X: got shape (10, 2) of complex128, expected an array of numbers"),
    ({"X": X.astype(str), "y": LABELS}, ", array X: got shape (10, 2) of <U32, expected an array of numbers"),
    ({"X": X, "y": np.eye(10, dtype=int)}, ", array y: got shape (10, 10) of int64, expected labels or numbers of sha"),
    ({"X": X, "y": LABELS.astype(complex)}, ", array y: got shape (10,) of complex128, expected labels or numbers"),
    ({"X": X, "y": np.float64(1)}, ", array y: got shape () of float64, expected labels or numbers"),
    ({"X": NAN, "y": LABELS}, ", array X at (4, 1): got nan, expected finite numbers; drop or fill"),
    ({"X": X, "y": NAN[:, 1]}, ", array y at (4,): got nan, expected finite numbers; drop or fill"),
    (
        {"X": X, "y": np.array([*"abcabc", "nan", *"abc"])},
        ", array y at (6,): got 'nan', expected a label; drop or fill samples with missing values",
    ),
    (
        {"X_train": X, "y_train": np.array([*"ab"] * 5), "X_test": X[:2], "y_test": np.array(["a", ""])},
        ", array y_test at (1,): got '', expected a label; drop or fill samples with missing values",
    ),
    ({"X": X, "y": 0 * LABELS}, ": got one class only, 0, expected at least two classes"),
    ({"X": X.astype(object), "y": LABELS}, ": got Python objects, or no NPZ file at all, expected an NPZ file"),
    (
        {"X_train": X, "y_train": LABELS, "X_test": X[:, :1], "y_test": LABELS},
        ", array X_test: got shape (10, 1) of float64, expected 2 features, as in X_train",
    ),
    (
        {"X_train": X, "y_train": LABELS, "X_test": X, "y_test": LABELS[:4]},
        ", array y_test: got shape (4,) of int64, expected 10 targets",
    ),
    (
        {"X_train": X, "y_train": LABELS / 2, "X_test": X, "y_test": X},
        ", array y_test: got shape (10, 2) of float64, expected targets like y_train, (10,) of float64",
    ),
    (
        {"X_train": X, "y_train": LABELS, "X_test": X, "y_test": LABELS.astype(str)},
        ", array y_test: got shape (10,) of <U21, expected targets like y_train, (10,) of int64",
    ),
    (
        {"X_train": X, "y_train": LABELS, "X_test": X, "y_test": LABELS.astype(np.float32)},
        ", array y_test: got shape (10,) of float32, expected integers or floats as in y_train, int64; save class lab",
    ),
    (
        {"X_train": X, "y_train": LABELS / 2, "X_test": X, "y_test": LABELS},
        ", array y_test: got shape (10,) of int64, expected integers or floats as in y_train, float64; save class lab",
    ),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_ARRAYS, ids=[message[:60] for _, message in BAD_ARRAYS])
def test_bad_arrays_are_named(save, arrays, message):
    path = save(**arrays)
    with pytest.raises(DataFileError) as caught:
        load_npz(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def good_bytes(tmp_path):
    np.savez_compressed(tmp_path / "good.npz", X=X, y=LABELS)
    return (tmp_path / "good.npz").read_bytes()


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "flipped", "npy", "pickle", "folder", "absent"])
def test_bad_files_are_one_line(tmp_path, damage):
    path = tmp_path / "file.npz"
    good = good_bytes(tmp_path)
    if damage == "npy":
        with path.open("wb") as file:
            np.save(file, X)
    elif damage == "folder":
        path.mkdir()
    elif damage != "absent":
        flipped = bytearray(good)
        flipped[100] ^= 0xFF
        path.write_bytes(
            {
                "empty": b"",
                "text": b"1,2,3\n",
                "truncated": good[: len(good) // 2],
                "flipped": bytes(flipped),
                "pickle": b"\x80\x04N.",
            }[damage]
        )
    for read in (load_npz, lambda path: read_npz_features(path, n_features=2)):
        with pytest.raises(DataFileError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: got ")
        assert ", expected " in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_header_that_names_more_than_memory(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)})
    path = tmp_path / "file.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("X", "y"):
            archive.writestr(f"{name}.npy", header.getvalue())
    with pytest.raises(DataFileError, match=r"file\.npz: got a damaged file \(Unable to allocate"):
        load_npz(path)


@pytest.mark.parametrize("bit", [0x01, 0x40])
def test_every_flipped_bit_is_found_or_harmless(tmp_path, bit):
    good = good_bytes(tmp_path)
    path = tmp_path / "file.npz"
    for i in range(len(good)):
        damaged = bytearray(good)
        damaged[i] ^= bit
        path.write_bytes(damaged)
        try:
            data = load_npz(path)
        except DataFileError:
            continue
        # Bytes that no reader looks at (time stamps, say): the arrays must have come through.
        np.testing.assert_array_equal(np.sort(everything(data, "X"), axis=0), X)


def test_tasks_that_do_not_fit(save):
    with pytest.raises(DataFileError, match=r"got targets \(10,\) of <U4, expected targets for regression"):
        load_npz(save(X=X, y=np.array(["rose", "iris"] * 5)), task="regression")
    with pytest.raises(DataFileError, match=r"got targets \(10, 2\) of float64, expected targets for classification"):
        load_npz(save(X=X, y=X), task="classification")
    with pytest.raises(UnknownNameError, match="task: got 'sorting'"):
        load_npz(save(X=X, y=LABELS), task="sorting")
    with pytest.raises(ArgumentError, match=r"test_fraction: got 0\.01 of 10 samples"):
        load_npz(save(X=X, y=LABELS), test_fraction=0.01)


def test_features_alone(save):
    np.testing.assert_array_equal(read_npz_features(save(X=X), n_features=2), X)
    np.testing.assert_array_equal(read_npz_features(save(X=X, y=LABELS.astype(object)), n_features=2), X)
    with pytest.raises(DataFileError, match=r", array X: got shape \(10, 2\) of float64, expected shape \(N, 3\)"):
        read_npz_features(save(X=X), n_features=3)
    with pytest.raises(DataFileError, match=r": got arrays X_test, expected arrays X$"):
        read_npz_features(save(X_test=X), n_features=2)
