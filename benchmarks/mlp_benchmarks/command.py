"""What the commands share: options, lists of names and numbers, the progress line, how a run begins and ends."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import click

from mlp_benchmarks.files import check_writable
from mlp_benchmarks.peaks import describe_with_peaks
from mlp_benchmarks.race import Rules
from mlp_scratch import checks
from mlp_scratch.cli.running import INTERRUPTED
from mlp_scratch.errors import ArgumentError, unknown_name
from mlp_scratch.machine import usable_cores

T = TypeVar("T")
Progress: TypeAlias = Callable[[str], None]


def chosen(argument: str, text: str | None, table: Mapping[str, T], *, default: tuple[str, ...]) -> dict[str, T]:
    """The rows of `table` that an option lists, in its order."""
    names = default if text is None else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in table:
            raise unknown_name(argument, name, table)
    return {name: table[name] for name in names}


def integers(argument: str, text: str, *, at_least: int = 1) -> list[int]:
    """The whole numbers of a list such as "1,2", each of them once.

    >>> integers("size", "256, 1025, 256")
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
    return list(dict.fromkeys(numbers))


def thread_counts(text: str) -> list[int]:
    """The numbers of threads of a list such as "1,2", none above what this machine has."""
    counts = integers("threads", text)
    if max(counts) > usable_cores():
        raise ArgumentError("threads", given=max(counts), expected=f"1 to {usable_cores()}, the cores it may use here")
    return counts


def race_options(*, rounds: int = Rules.rounds) -> Callable[[T], T]:
    """The options of a command that holds races of one kind: how many threads, rounds and processes, and the file."""
    options = (
        click.option(
            "--threads", default="1", show_default=True, metavar="N,...", help="Threads, and processors, of each."
        ),
        click.option("--rounds", type=int, default=rounds, show_default=True, metavar="N"),
        click.option("--processes", type=int, default=Rules.processes, show_default=True, metavar="N"),
        click.option("--json", "json_file", metavar="FILE", help="Write the records, in full precision."),
    )

    def decorate(command: T) -> T:
        for option in reversed(options):
            command = option(command)  # type: ignore[type-var]  # click wants to know that it is a function
        return command

    return decorate


def race_rules(rounds: int, processes: int, *, budget: float = Rules.budget) -> Rules:
    """The rules that the options `--rounds` and `--processes` ask for."""
    return Rules(
        rounds=checks.integer("rounds", rounds, at_least=1),
        processes=checks.integer("processes", processes, at_least=1),
        budget=budget,
    )


def writable(argument: str, file: str | None) -> Path | None:
    """The path of a file that will be written, looked at before there is anything to lose."""
    if file is None:
        return None
    check_writable(argument, Path(file))
    return Path(file)


@contextmanager
def progress_line() -> Iterator[Progress]:
    """A line on standard error that says what is going on: on a terminal, and none in a pipe."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console  # takes as long to import as the rest of the package

    with Console(stderr=True).status("") as status:
        yield status.update


@contextmanager
def interrupted_by_termination() -> Iterator[None]:
    """Raise `KeyboardInterrupt` inside the block for SIGTERM, with which `kill` and time limits end a process, too.

    Outside the main thread, where Python delivers no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Report(Protocol):
    """What a command finds out, as far as they are alike."""

    machine: Mapping[str, Any]
    interrupted: bool

    @property
    def records(self) -> Sequence[Any]: ...

    @property
    def any_wrong(self) -> bool: ...

    def write(self, path: Path) -> None: ...


def measure(
    report: Report,
    path: Path | None,
    threads: Sequence[int],
    work: Callable[[Progress], object],
    *,
    dtype: str = "float32",
) -> None:
    """Describe the machine, peaks included, and do `work`.

    Ctrl-C or SIGTERM ends it, and what was found by then is written. Where that is nothing, an older file stays as it
    is.
    """
    with progress_line() as progress, interrupted_by_termination():
        try:
            progress("measuring the machine's peaks")
            report.machine = describe_with_peaks(list(threads), dtype)
            work(progress)
        except KeyboardInterrupt:
            report.interrupted = True
    if path is not None and has_outcome(report):
        report.write(path)


def has_outcome(report: Report) -> bool:
    """Whether a file may take the place of an older one: a run that was ended before its first record has nothing."""
    return bool(report.records) or not report.interrupted


def exit_code(report: Report, path: Path | None) -> int:
    """That of the command, having said that it was interrupted if it was."""
    if report.interrupted:
        kept = f"{path} has what was measured" if report.records else f"nothing was measured, {path} was not written"
        click.echo("mlp-bench: interrupted" + ("" if path is None else f"; {kept}"), err=True)
        return INTERRUPTED
    return 1 if report.any_wrong else 0
