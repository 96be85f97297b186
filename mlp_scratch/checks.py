"""Argument checks shared by the public functions: each returns the checked value or raises an `ArgumentError`."""

import math
import numbers
from collections.abc import Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, unknown_name

T = TypeVar("T")

LOOKED_AT_ONCE = 1_000_000
"""Numbers that are looked at together, for which there are temporary arrays."""


FEW = 10_000
"""Numbers up to which the sum of their squares is looked at first: one pass, and no temporary array."""


def integer(argument: str, value: object, *, at_least: int, mend: str = "") -> int:
    """`value` as an int of at least `at_least`; booleans and fractions are refused."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise ArgumentTypeError(argument, given=describe(value), expected="an integer", mend=mend)
    if value < at_least:
        raise ArgumentError(argument, given=int(value), expected=f"an integer of at least {at_least}", mend=mend)
    return int(value)


def boolean(argument: str, value: object) -> bool:
    """`value` if it is True or False, Python's or NumPy's; numbers and words are refused.

    >>> boolean("trainable", "no")
    Traceback (most recent call last):
    mlp_scratch.errors.ArgumentTypeError: trainable: got 'no' (str), expected True or False
    """
    if not isinstance(value, bool | np.bool_):
        raise ArgumentTypeError(argument, given=describe(value), expected="True or False")
    return bool(value)


def real(
    argument: str,
    value: object,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
    mend: str = "",
) -> float:
    """`value` as a finite float inside the given bounds (`above` and `below` exclude the bound itself).

    >>> real("lr", 0.0, above=0.0)
    Traceback (most recent call last):
    mlp_scratch.errors.ArgumentError: lr: got 0.0, expected a finite number above 0
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise ArgumentTypeError(argument, given=describe(value), expected="a real number", mend=mend)
    try:
        number = float(value)
    except OverflowError:  # an integer or a fraction beyond the largest float
        number = math.inf
    if not (math.isfinite(number) and above < number < below and at_least <= number <= at_most):
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("above", above),
                ("of at least", at_least),
                ("below", below),
                ("at most", at_most),
            )
            if math.isfinite(bound)
        ]
        expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
        raise ArgumentError(argument, given=number, expected=expected, mend=mend)
    return number


def named(argument: str, value: object, table: Mapping[str, T], kind: type) -> T:
    """A row of `table` by its name, or `value` itself when it already is a `kind`."""
    if isinstance(value, str):
        if value not in table:
            raise unknown_name(argument, value, table)
        return table[value]
    if not isinstance(value, kind):
        raise ArgumentTypeError(
            argument,
            given=describe(value),
            expected=f"{_article(kind.__name__)} {kind.__name__} or one of the names {', '.join(sorted(table))}",
        )
    return value  # type: ignore[return-value]  # the caller's table holds instances of `kind`


def _article(noun: str) -> str:
    return "an" if noun[0] in "AEIOU" else "a"


def describe(value: object) -> str:
    """How an error message shows a value: arrays by shape and dtype, the rest by a short repr, on one line."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = " ".join(repr(value).split())
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def having(argument: str, value: object, attributes: tuple[str, ...], mend: str = "") -> None:
    """Raise unless `value` is an object, not a class, with these attributes.

    >>> having("layer", 3, ("forward", "backward"))
    Traceback (most recent call last):
    mlp_scratch.errors.ArgumentTypeError: layer: got 3 (int), expected an object with forward and backward
    """
    if isinstance(value, type) or not all(hasattr(value, name) for name in attributes):
        expected = "an object with " + " and ".join(attributes)
        raise ArgumentTypeError(argument, given=describe(value), expected=expected, mend=mend)


def path(argument: str, value: object) -> Path:
    """`value` as a `Path`; anything but text and paths is refused."""
    if not isinstance(value, str | PathLike):
        raise ArgumentTypeError(argument, given=describe(value), expected="the path of a file")
    if "\0" in str(value):  # which the operating system takes for the end
        raise ArgumentError(argument, given=describe(value), expected="the path of a file, without a null character")
    return Path(value)


def new_file(argument: str, value: object) -> Path:
    """`value` as the path of a file to write: its folder exists, and it is no folder itself."""
    target = path(argument, value)
    if not target.parent.is_dir():
        expected = "a file in a folder that exists"
        raise ArgumentError(argument, given=str(target), expected=expected, mend="create it first")
    if target.is_dir():
        raise ArgumentError(argument, given=f"{target}, a folder", expected="a file", mend="add a name to it")
    return target


def float_dtype(argument: str, value: object) -> "np.dtype[np.floating[Any]]":
    """`value` as one of the dtypes that a model can have: float32 or float64."""
    try:
        dtype: np.dtype[Any] | None = np.dtype(value)  # type: ignore[call-overload]
    except TypeError:
        dtype = None
    if value is None or dtype is None or dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ArgumentError(argument, given=repr(value), expected="'float32' or 'float64'")
    return dtype


def features(argument: str, X: object, *, n_features: int | None = None) -> Array:
    """`X` as an (N, D) array of a float, integer or boolean dtype; the data are not copied.

    Raises `ArgumentTypeError` for other dtypes and `ArgumentError` for other shapes and for empty arrays.
    Values are checked by `finite`.
    """
    array = numeric(argument, X)
    if array.ndim != 2:
        mend = "reshape one sample to (1, D), one feature to (N, 1)" if array.ndim == 1 else ""
        raise ArgumentError(argument, given=f"shape {array.shape}", expected="an array of shape (N, D)", mend=mend)
    if array.size == 0:
        raise ArgumentError(argument, given=f"shape {array.shape}", expected="at least one sample and one feature")
    if n_features is not None and array.shape[1] != n_features:
        raise ArgumentError(
            argument,
            given=f"shape {array.shape}",
            expected=f"shape (N, {n_features}), the model's number of inputs",
            mend="check the order of the axes" if array.shape[0] == n_features else "",
        )
    return array


def numeric(
    argument: str,
    value: object,
    *,
    mend: str = "convert it with .astype(float)",
    item: str = "value",
) -> Array:
    """`value` as an array of a float, integer or boolean dtype; lists are converted, arrays are not copied.

    `mend` is what to do about text and objects, `item` what is missing where an object says that something is.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ArgumentError(
            argument,
            given="masked numbers",
            expected="an array without any",
            mend="fill them in, e.g. with .filled(0)",
        )
    try:
        array = np.asarray(value)
    except (TypeError, RuntimeError, ValueError) as error:
        if isinstance(error, ValueError) and not hasattr(value, "__array__"):  # ragged lists
            raise ArgumentTypeError(argument, given="rows of different lengths", expected="an array") from error
        raise ArgumentTypeError(
            argument,
            given=f"{type(value).__name__} that is no array ({' '.join(str(error).split())})",
            expected="an array of numbers",
            mend="make it one of NumPy's first",
        ) from error
    if array.dtype.kind not in "fiub":
        if array.ndim == 0 and not isinstance(value, np.ndarray):  # NumPy takes whatever it does not know for a scalar
            dense = "convert it with .toarray()" if hasattr(value, "toarray") else ""
            raise ArgumentTypeError(argument, given=describe(value), expected="an array of numbers", mend=dense)
        if array.dtype.kind == "O":
            none_missing(argument, array, item)
        raise ArgumentTypeError(
            argument,
            given=f"dtype {array.dtype}",
            expected="a float or integer dtype",
            mend=mend if array.dtype.kind in "OUS" else "",
        )
    return array


def none_missing(argument: str, array: Array, item: str) -> None:
    """Raise where an array of objects or floats has None, NaN or the NA of pandas in the place of an `item`.

    >>> none_missing("y", np.array([0.0, np.nan]), "label")
    Traceback (most recent call last):
    mlp_scratch.errors.ArgumentError: y: got nan at position 1, expected no missing label; drop or fill such samples
    """
    for where, value in np.ndenumerate(array):
        if value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType":
            raise ArgumentError(
                argument,
                given=f"{value} at position {where[0] if len(where) == 1 else where}",
                expected=f"no missing {item}",
                mend="drop or fill such samples",
            )


@cache
def _largest(dtype: "np.dtype[np.floating[Any]]") -> np.floating[Any]:
    """The largest number of a float type; to ask NumPy takes as long as to look at a sample of a small network."""
    return np.finfo(dtype).max


def finite(argument: str, array: Array, dtype: "np.dtype[np.floating[Any]]") -> None:
    """Raise when `array` holds a NaN, an infinity, or a number that overflows `dtype`.

    Rows are looked at in blocks, so that no temporary of the array's size is made.
    """
    if array.dtype.kind in "iub":
        return
    limit = _largest(dtype)
    if array.size <= FEW and np.vdot(array, array) <= limit:  # so is each number, and far below, and none is NaN
        return
    rows_at_once = max(1, LOOKED_AT_ONCE * len(array) // max(1, array.size))
    for start in range(0, len(array), rows_at_once):
        block = array[start : start + rows_at_once]
        # NaN passes through the maximum and fails the comparison, so one test finds NaN, infinity and overflow.
        if not np.maximum.reduce(np.abs(block), axis=None) <= limit:
            where = tuple(int(i) for i in np.argwhere(~(np.abs(block) <= limit))[0])
            raise ArgumentError(
                argument,
                given=f"{block[where]} at position {(start + where[0], *where[1:])}",
                expected=f"finite numbers that fit {dtype}",
                mend="drop or fill such samples, e.g. with numpy.nan_to_num",
            )
