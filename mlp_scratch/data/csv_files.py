"""Reading CSV files: every cell is checked, and a mistake is named by file, line and column."""

import csv
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array, FloatArray
from mlp_scratch.data._problems import FILL, bad_file, is_missing, unreadable
from mlp_scratch.data.csv_columns import (
    Layout,
    check_names,
    is_header,
    is_number,
    named_column,
    named_features,
    names_features,
    refuse_lone_label,
    refuse_numbered_header,
)
from mlp_scratch.data.dataset import TASKS, Task
from mlp_scratch.data.table import Table, class_indices
from mlp_scratch.errors import ArgumentTypeError, DataFileError, unknown_name

_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_INT64 = np.iinfo(np.int64)


def read_csv(path: Path | str, *, target: str | None = None, task: Task | None = None) -> Table:
    r"""The samples of a comma-separated file, one a line: numbers, and a target in one column.

    Args:
        path: the file.
        target: the name of the target's column; the last column by default.
        task: what the targets are. By default they are class labels where all are written as integers that fit int64
            (`3`) or none is a number (`setosa`), and reals where any is another number (`3.0`, `3e2`).

    The first line is a header if it has the name `target`, or if none of its features is a number, else a sample; but
    numbers that look like a header, `0,1,2,...` or those beside a label that no other line has, are an error.
    The file is UTF-8, with or without a byte-order mark; cells may be in double quotes; empty lines are skipped.
    Features come as float64, classes as indices into the sorted `class_names`.
    Raises `DataFileError` for all else, with the line and the column; a missing value, NaN or infinity is an error, in
    the target too: an empty cell, `NA`, `N/A`, `NaN`, `null` or `?` is no class. `none` may be one.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "flowers.csv")
    >>> _ = path.write_text("petal,sepal,kind\n1.5,5,setosa\n4.5,6.25,virginica\n")
    >>> table = read_csv(path)
    >>> table.task, table.class_names, table.feature_names
    ('classification', ('setosa', 'virginica'), ('petal', 'sepal'))
    >>> table.X
    array([[1.5 , 5.  ], [4.5 , 6.25]])
    """
    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS)

    def layout(line: int, first_row: list[str]) -> Layout:
        if len(first_row) < 2:
            raise bad_file(
                path,
                where=f"line {line}",
                given="1 column",
                expected="at least 2, features and a target",
                mend="separate columns by commas",
            )
        return Layout(target=len(first_row) - 1 if target is None else named_column(path, first_row, target))

    cells = _parse(path, target, layout)
    if not cells.feature_names:
        refuse_lone_label(path, cells.lines[0], cells.targets)
    y, class_names, task = _targets(path, cells, task)
    return Table(X=cells.X, y=y, task=task, feature_names=cells.feature_names, class_names=class_names)


def read_csv_features(
    path: Path | str,
    *,
    n_features: int,
    feature_names: Sequence[str] = (),
    target: str | None = None,
    target_required: bool = False,
) -> FloatArray:
    """The (N, n_features) features of a CSV file, which may have a target column or not.

    Where the features have names and the file has a header, their columns are found by name, in any order, and all
    others are left out unread. Otherwise a file with `n_features` columns is all features; of one more, the column
    `target` (the last by default) is left out unread. With `target_required` there must be such a column. Otherwise
    as `read_csv`.
    """

    def layout(line: int, first_row: list[str]) -> Layout:
        if target is not None and target_required:
            named_column(path, first_row, target)
        if feature_names and names_features(first_row, feature_names, target):
            return Layout(features=named_features(path, line, first_row, feature_names, target))
        if len(first_row) == n_features + 1:
            if target not in (None, *first_row) and any(map(is_number, first_row)):
                raise bad_file(
                    path,
                    where=f"line {line}",
                    given=f"{n_features + 1} columns without names",
                    expected=f"{n_features} features, or a header with the target {target!r}",
                    mend="put a header above the samples, or leave the target out",
                )
            return Layout(target=n_features if target is None else named_column(path, first_row, target))
        if len(first_row) == n_features and target not in first_row:
            return Layout()
        raise bad_file(
            path,
            where=f"line {line}",
            given=f"{len(first_row)} columns" + (f", {target!r} among them" if target in first_row else ""),
            expected=f"{n_features} features, with a target column or without",
        )

    return _parse(path, target, layout).X


def last_column_left_out(path: Path | str, *, n_features: int) -> str:
    """The name of the column that `read_csv_features`, told no names and no target, leaves out; empty without one."""
    _, names = next(_rows(path), (0, []))
    return names[-1].strip() if len(names) == n_features + 1 and not any(map(is_number, names[:-1])) else ""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Cells:
    """What is in a file: features (N, D), the text of N targets if any, and the line that each sample is on."""

    X: FloatArray
    feature_names: tuple[str, ...]
    targets: list[str]
    target_place: str
    lines: list[int]


def _parse(path: Path | str, target_name: object, layout: Callable[[int, list[str]], Layout]) -> _Cells:
    """Read the file; `layout` is given the first row and its line."""
    path = checks.path("path", path)
    if not isinstance(target_name, str | None):
        raise ArgumentTypeError("target", given=checks.describe(target_name), expected="the name of a column")
    rows = _rows(path)
    first_line, names = next(rows, (0, []))
    if not names:
        raise bad_file(path, given="an empty file", expected="lines of comma-separated numbers")
    names = [cell.strip() for cell in names]
    width, columns_of = len(names), layout(first_line, names)
    target, features = columns_of.target, columns_of.features
    sample: list[str] = []
    if features is not None:
        names = [names[i] for i in features]
        columns = [f"column {name!r}" for name in names]
    elif target_name in names or is_header(path, first_line, [c for i, c in enumerate(names) if i != target]):
        check_names(path, first_line, names)
        columns = [f"column {name!r}" for name in names]
    else:
        rows = chain([(first_line, list(names))], rows)
        sample, names, columns = names, [], [f"column {i + 1}" for i in range(width)]
    target_place = "" if target is None else columns.pop(target)
    if names and target is not None:
        del names[target]

    values, targets, lines = array("d"), list[str](), list[int]()
    for line, row in rows:
        if len(row) != width:
            raise bad_file(
                path, where=f"line {line}", given=f"{len(row)} columns", expected=f"{width}, as on line {first_line}"
            )
        if target is not None:
            targets.append(row.pop(target).strip())
        if features is not None:
            row = [row[i] for i in features]
        try:
            values.extend(map(float, row))
            if "_" in "".join(row):  # float() takes 1_000 for a number, as Python's own syntax does
                raise ValueError
        except ValueError:
            column, cell = next((c, cell) for c, cell in zip(columns, row, strict=True) if not is_number(cell))
            raise _bad_cell(path, line, column, cell) from None
        lines.append(line)
    if not lines:
        raise bad_file(path, given="a header and no samples", expected="at least one line of numbers")
    X = np.frombuffer(values).reshape(len(lines), -1)
    if not np.isfinite(X).all():
        row_index, column_index = np.argwhere(~np.isfinite(X))[0]
        raise _bad_cell(path, lines[row_index], columns[column_index], str(X[row_index, column_index]))
    if sample:
        refuse_numbered_header(path, first_line, sample, X, targets)
    return _Cells(X=X, feature_names=tuple(names), targets=targets, target_place=target_place, lines=lines)


def _rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """The rows that aren't empty, each with the number of its line."""
    line = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            for row in reader:
                line = reader.line_num
                if row and row != [""]:
                    yield line, row
    except UnicodeDecodeError as error:
        raise bad_file(
            path,
            where=f"line {_first_line_not_utf8(path)}",
            given=f"bytes that are not UTF-8 ({error.reason})",
            expected="text in UTF-8",
            mend="save it as UTF-8",
        ) from error
    except csv.Error as error:
        raise bad_file(path, where=f"from line {line + 1} on", given=f"{error}", expected="well-formed CSV") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _first_line_not_utf8(path: Path | str) -> int:
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0  # the file has changed meanwhile


def _targets(path: Path | str, cells: _Cells, task: Task | None) -> tuple[Array, tuple[str, ...], Task]:
    """The targets as class indices or reals, with the names of the classes and the task they make."""

    def check(good: list[bool], expected: str = "a number") -> None:
        if not all(good):
            i = good.index(False)
            raise _bad_cell(path, cells.lines[i], cells.target_place, cells.targets[i], expected)

    check([not is_missing(text) for text in cells.targets], "a target")  # first: one may be all that is no number
    integers = all(map(_is_integer, cells.targets))
    are_numbers = [is_number(text) for text in cells.targets]
    if task is None:
        task = "classification" if integers or not any(are_numbers) else "regression"
    if task == "classification" and not all(are_numbers):
        return *class_indices(path, cells.targets), task
    check(are_numbers)
    if task == "classification" and integers:
        return *class_indices(path, [int(text) for text in cells.targets]), task
    y = np.array([float(text) for text in cells.targets])
    check(np.isfinite(y).tolist())
    if task == "classification":
        return *class_indices(path, y.tolist()), task
    return y, (), task


def _is_integer(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text)) and _INT64.min <= int(text) <= _INT64.max


def _bad_cell(path: Path | str, line: int, column: str, cell: str, expected: str = "a number") -> DataFileError:
    return bad_file(
        path,
        where=f"line {line}, {column}",
        given=repr(cell) if cell else "an empty cell",
        expected=expected,
        mend=FILL if is_missing(cell) or cell.strip().lower() == "none" else "",
    )
