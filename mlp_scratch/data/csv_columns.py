"""Which columns of a CSV file hold what: its first line as a header, and columns by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mlp_scratch._types import FloatArray
from mlp_scratch.data._problems import bad_file
from mlp_scratch.errors import ArgumentError, DataFileError, UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which column holds the target, if any, and which the features: all others, or `features` in their order."""

    target: int | None = None
    features: list[int] | None = None


def named_column(path: Path | str, names: list[str], target: str) -> int:
    """The place of the column called `target`; raises `UnknownNameError` where there is none."""
    if target not in names:
        near = get_close_matches(target, names, n=3, cutoff=0.0)
        raise UnknownNameError(
            "target",
            given=repr(target),
            expected=f"one of the {len(names)} columns on the first line of {path}",
            mend=f"the nearest are {', '.join(map(repr, near))}",
        )
    return names.index(target)


def names_features(row: list[str], feature_names: Sequence[str], target: str | None) -> bool:
    """Whether the first row is names, some of which are numbers perhaps (`2019`)."""
    words = {name for name in feature_names if not is_number(name)}
    return target in row or not any(map(is_number, row)) or not words.isdisjoint(row) or set(feature_names) <= set(row)


def named_features(
    path: Path | str, line: int, names: list[str], feature_names: Sequence[str], target: str | None
) -> list[int]:
    """The columns of the features, in the order of `feature_names`."""
    if target in feature_names:
        raise ArgumentError("target", given=repr(target), expected="a column that is no feature of the model")
    missing = [name for name in feature_names if name not in names]
    if missing:
        others = [name for name in names if name not in feature_names]
        near = get_close_matches(missing[0], others, n=1, cutoff=0.5)
        raise bad_file(
            path,
            where=f"line {line}",
            given=f"no column {missing[0]!r}" + (f" ({len(missing)} features are missing)" if missing[1:] else ""),
            expected=f"the {len(feature_names)} features of the model by name",
            mend=f"is it {near[0]!r}?" if near else "",
        )
    check_names(path, line, [name for name in names if name in feature_names])
    return [names.index(name) for name in feature_names]


def is_header(path: Path | str, line: int, features: list[str]) -> bool:
    """Whether the first row is names: none of them a number. Some and some is an error, not a guess."""
    numbers = [is_number(cell) for cell in features]
    if any(numbers) and not all(numbers):
        name = features[numbers.index(False)]
        raise bad_file(
            path,
            where=f"line {line}",
            given=f"{name!r} beside numbers",
            expected="only numbers, or only names (a header)",
        )
    return not all(numbers)


def refuse_numbered_header(path: Path | str, line: int, row: list[str], X: FloatArray, targets: list[str]) -> None:
    """Raise where the first of several samples is the numbers 0, 1, 2, ... that columns without names are given.

    A text for a target may be beside them. They are a sample where each of them is found again in its column.
    """
    numbered = list(map(str, range(len(row))))
    counts_up = row[:-1] == numbered[:-1] and (row[-1] == numbered[-1] or not is_number(row[-1]))
    if len(row) < 3 or len(X) < 2 or not counts_up:
        return
    if not (X[1:] == X[0]).any(axis=0).all() or (targets and targets[0] not in targets[1:]):
        numbers = [cell for cell in row if is_number(cell)]
        given = f"{', '.join(numbers[:3])}{', ...' if numbers[3:] else ''}, numbers that count the columns"
        raise _perhaps_a_header(path, line, given, "rename the columns or leave it out")


def refuse_lone_label(path: Path | str, line: int, labels: list[str]) -> None:
    """Raise where the first of the labels, a text beside numbers, is found on no other line, but others are."""
    if not is_number(labels[0]) and labels[0] not in labels[1:] and len(set(labels)) < len(labels):
        given = f"the label {labels[0]!r}, which no other line has, beside numbers"
        raise _perhaps_a_header(path, line, given, "name the target")


def _perhaps_a_header(path: Path | str, line: int, given: str, mend: str) -> DataFileError:
    """The error for a first line that may be either; `mend` is what to do where it is a header."""
    return bad_file(
        path,
        where=f"line {line}",
        given=given,
        expected="a sample, or names that are no numbers (a header)",
        mend=f"if it is a header, {mend}; if it is a sample, put a header above it",
    )


def check_names(path: Path | str, line: int, names: list[str]) -> None:
    """Raise unless each column has a name of its own."""
    for i, name in enumerate(names):
        if not name:
            raise bad_file(
                path,
                where=f"line {line}, column {i + 1}",
                given="no name",
                expected="a name for every column",
                mend="if it numbers the lines (an index, as pandas writes it), leave it out",
            )
        if name in names[:i]:
            raise bad_file(path, where=f"line {line}", given=f"the name {name!r} twice", expected="different names")


def is_number(text: str) -> bool:
    """Whether a cell holds a number, NaN and infinities among them.

    >>> is_number(" 1e3"), is_number("1_000")
    (True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
