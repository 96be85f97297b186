"""The errors about files that the readers of this package share."""

from pathlib import Path

from mlp_scratch.errors import DataFileError


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
