"""The errors about files that the readers of this package share."""

from pathlib import Path

from mlp_scratch.errors import DataFileError

_MISSING = frozenset(("", "na", "n/a", "nan", "null", "?"))

FILL = "drop or fill samples with missing values"
"""What to do about them."""


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value. `none` says so of numbers alone: it may well be a class.

    >>> is_missing(" NA"), is_missing("none")
    (True, False)
    """
    return text.strip().lower() in _MISSING


def bad_file(path: Path | str, *, given: str, expected: str, mend: str = "", where: str = "") -> DataFileError:
    """The error for a file, or a place in it, whose content is not what it should be.

    >>> raise bad_file("ages.csv", where="line 3, column 'age'", given="'?'", expected="a number")
    Traceback (most recent call last):
    mlp_scratch.errors.DataFileError: ages.csv, line 3, column 'age': got '?', expected a number
    """
    place = f"{path}, {where}" if where else f"{path}"
    return DataFileError(f"{place}: got {given}, expected {expected}" + (f"; {mend}" if mend else ""))


def unreadable(path: Path | str, error: OSError) -> DataFileError:
    """The error for a file that the operating system does not let us read."""
    return bad_file(
        path,
        given=f"{error.strerror or error!r}",
        expected="a file that can be read",
        mend="check the path and its permissions",
    )
