"""Reading NPZ files: NumPy's archives of named arrays."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.data._problems import FILL, bad_file, is_missing, unreadable
from mlp_scratch.data.dataset import TASKS, Dataset, Task
from mlp_scratch.data.scaler import Scaler
from mlp_scratch.data.table import Table, class_indices
from mlp_scratch.errors import DataFileError, unknown_name

_WHOLE = ("X", "y")
_PARTS = ("X_train", "y_train", "X_test", "y_test")


def load_npz(path: Path | str, *, test_fraction: float = 0.2, seed: int = 0, task: Task | None = None) -> Dataset:
    """The data set in an NPZ file: arrays X and y, split as by `split`, or X_train, y_train, X_test and y_test.

    X is (N, D) of a float or integer dtype, and keeps it. y is (N,) integers, booleans or texts, which are class
    labels, or (N,) or (N, K) floats, which are reals; `task` overrules that for (N,) numbers. y_train and y_test are
    both the one or both the other. Class labels become indices into the sorted `class_names`. Default scaling:
    standardised.
    Raises `DataFileError` for anything else, NaN, infinities and texts that stand for no label (`nan`, say) included.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "ramp.npz")
    >>> np.savez(path, X=np.arange(20.0).reshape(10, 2), y=np.arange(10) / 10)
    >>> load_npz(path)
    Dataset('ramp', regression: 8 training and 2 test samples, 2 features, 1 target)
    """
    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)
    path = checks.path("path", path)
    arrays = _arrays(path, _PARTS, _WHOLE)
    if "X" in arrays:
        X = _features(path, "X", arrays["X"])
        y, class_names, task = _encoded(path, _targets(path, "y", arrays["y"], len(X)), task)
        table = Table(X=X, y=y, task=task, class_names=class_names)
        return table.dataset(path, test_fraction=test_fraction, seed=seed)
    X_train, X_test = (_features(path, name, arrays[name]) for name in ("X_train", "X_test"))
    y_train = _targets(path, "y_train", arrays["y_train"], len(X_train))
    y_test = _targets(path, "y_test", arrays["y_test"], len(X_test))
    if X_train.shape[1] != X_test.shape[1]:
        raise _bad_array(path, "X_test", X_test, f"{X_train.shape[1]} features, as in X_train")
    if y_train.shape[1:] != y_test.shape[1:] or (y_train.dtype.kind == "U") != (y_test.dtype.kind == "U"):
        raise _bad_array(path, "y_test", y_test, f"targets like y_train, {y_train.shape} of {y_train.dtype}")
    if task is None and (y_train.dtype.kind == "f") != (y_test.dtype.kind == "f"):
        raise _bad_array(
            path,
            "y_test",
            y_test,
            f"integers or floats as in y_train, {y_train.dtype}",
            mend="save class labels as integers in both, quantities as floats",
        )
    # Together, so that a class has one index in both parts.
    y, class_names, task = _encoded(path, _joined(y_train, y_test), task)
    return Dataset(
        name=Path(path).stem,
        task=task,
        X_train=X_train,
        y_train=y[: len(X_train)],
        X_test=X_test,
        y_test=y[len(X_train) :],
        scaling=Scaler.fit(X_train, kind="standard"),
        class_names=class_names,
        source=str(path),
    )


def read_npz_features(path: Path | str, *, n_features: int) -> Array:
    """The array X, (N, n_features), of an NPZ file; its other arrays are left unread."""
    X = _features(path, "X", _arrays(path, ("X",))["X"])
    if X.shape[1] != n_features:
        raise _bad_array(path, "X", X, f"shape (N, {n_features})")
    return X


def _arrays(path: Path | str, *choices: tuple[str, ...]) -> dict[str, Array]:
    """The arrays of the first of `choices` that are all in the file."""
    try:
        with open(path, "rb") as file:  # given a path, np.load leaves a damaged file open
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise bad_file(path, given="a single array (.npy)", expected="an archive (.npz)", mend="use np.savez")
            for names in choices:
                if set(names) <= set(archive.files):
                    return {name: archive[name] for name in names}
            raise bad_file(
                path,
                given=f"arrays {', '.join(archive.files) or '(none)'}",
                expected="arrays " + ", or ".join(map(", ".join, choices)),
            )
    except DataFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, MemoryError) as error:
        pickled = "allow_pickle" in str(error)
        raise bad_file(
            path,
            given="Python objects, or no NPZ file at all" if pickled else f"a damaged file ({error})",
            expected="an NPZ file with arrays of numbers",
            mend="save it with np.savez, object arrays with .astype(float) first" if pickled else "write it again",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _features(path: Path | str, name: str, X: Array) -> Array:
    if X.dtype.kind not in "fiub" or X.ndim != 2 or X.size == 0:
        raise _bad_array(
            path,
            name,
            X,
            "an array of numbers of shape (N, D)",
            mend="use .reshape(len(X), -1)" if X.ndim > 2 else "",
        )
    return _finite(path, name, X)


def _targets(path: Path | str, name: str, y: Array, n_samples: int) -> Array:
    good = y.dtype.kind in "fiubU" if y.ndim == 1 else y.ndim == 2 and y.dtype.kind == "f"
    if not good or y.size == 0:
        raise _bad_array(path, name, y, "labels or numbers of shape (N,), or floats of shape (N, K)")
    if len(y) != n_samples:
        raise _bad_array(path, name, y, f"{n_samples} targets, one for each row of features")
    if y.dtype.kind == "U" and (missing := list(map(is_missing, y.tolist()))).count(True):
        at = missing.index(True)
        raise bad_file(path, where=f"array {name} at {(at,)}", given=repr(str(y[at])), expected="a label", mend=FILL)
    return _finite(path, name, y)


def _finite(path: Path | str, name: str, array: Array) -> Array:
    """`array` in this machine's byte order, checked for NaN and infinities."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise bad_file(
            path,
            where=f"array {name} at {place}",
            given=str(array[place]),
            expected="finite numbers",
            mend=FILL,
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _joined(y_train: Array, y_test: Array) -> Array:
    """Both parts in one array; integers stay integers."""
    y = np.concatenate([y_train, y_test])
    if y.dtype.kind == "f" and "f" not in (y_train.dtype.kind, y_test.dtype.kind):
        return np.concatenate([y_train, y_test], dtype=object)  # int64 and uint64 have no common integer type
    return y


def _encoded(path: Path | str, y: Array, task: Task | None) -> tuple[Array, tuple[str, ...], Task]:
    """The targets as class indices or reals, with the names of the classes and the task they make."""
    found: Task = "regression" if y.dtype.kind == "f" else "classification"
    task = task or found
    if task == "classification" and y.ndim == 1:
        return *class_indices(path, y.tolist()), task
    if task == "classification" or y.dtype.kind == "U":
        raise bad_file(path, given=f"targets {y.shape} of {y.dtype}", expected=f"targets for {task}")
    return (y if found == "regression" else y.astype(np.float64)), (), task


def _bad_array(path: Path | str, name: str, array: Array, expected: str, mend: str = "") -> DataFileError:
    given = f"shape {array.shape} of {array.dtype}"
    return bad_file(path, where=f"array {name}", given=given, expected=expected, mend=mend)
