"""What the commands share: lists of names and numbers, the progress line, the end of a run."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import click

from mlp_benchmarks.records import check_writable
from mlp_scratch.cli.running import INTERRUPTED
from mlp_scratch.errors import ArgumentError, unknown_name
from mlp_scratch.machine import usable_cores

T = TypeVar("T")


def chosen(argument: str, text: str | None, table: Mapping[str, T], *, default: tuple[str, ...]) -> dict[str, T]:
    """The rows of `table` that an option lists, in its order."""
    names = default if text is None else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in table:
            raise unknown_name(argument, name, table)
    return {name: table[name] for name in names}


def integers(argument: str, text: str, *, at_least: int = 1) -> list[int]:
    """The whole numbers of a list such as "1,2".

    >>> integers("size", "256, 1025")
    [256, 1025]
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < at_least:
        raise ArgumentError(
            argument, given=repr(text), expected=f"whole numbers of at least {at_least}, with commas between them"
        )
    return numbers


def thread_counts(text: str) -> list[int]:
    """The numbers of threads of a list such as "1,2", none above what this machine has."""
    counts = integers("threads", text)
    if max(counts) > usable_cores():
        raise ArgumentError("threads", given=max(counts), expected=f"1 to {usable_cores()}, the cores it may use here")
    return counts


def writable(argument: str, file: str | None) -> Path | None:
    """The path of a file that will be written, looked at before there is anything to lose."""
    if file is None:
        return None
    check_writable(argument, Path(file))
    return Path(file)


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is going on: on a terminal, and none in a pipe."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console  # takes as long to import as the rest of the package

    with Console(stderr=True).status("") as status:
        yield status.update


class Ended(Protocol):
    """A report, as far as the exit code needs one."""

    interrupted: bool

    @property
    def any_wrong(self) -> bool: ...


def exit_code(report: Ended, path: Path | None) -> int:
    """That of the command, having said that it was interrupted if it was."""
    if report.interrupted:
        click.echo("mlp-bench: interrupted" + ("" if path is None else f"; {path} has what was measured"), err=True)
        return INTERRUPTED
    return 1 if report.any_wrong else 0
