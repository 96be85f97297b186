"""`mlp-bench compare`: races over cases and optimisers, and the report of them."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from mlp_benchmarks.cases import CASES, DEFAULT_CASES, OPTIMIZERS
from mlp_benchmarks.contenders import CONTENDERS
from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.peaks import measure_peaks
from mlp_benchmarks.race import Race, Rules
from mlp_benchmarks.records import Report, check_writable, make_not_timed, make_records
from mlp_benchmarks.report import print_report
from mlp_benchmarks.work import make_work
from mlp_scratch import checks
from mlp_scratch.cli.running import INTERRUPTED
from mlp_scratch.errors import ArgumentError, unknown_name
from mlp_scratch.machine import describe_machine, usable_cores

T = TypeVar("T")


@click.command("compare")
@click.option(
    "--case", "cases", metavar="NAME,...", help=f"Of {', '.join(CASES)}.  [default: {','.join(DEFAULT_CASES)}]"
)
@click.option("--contender", "contenders", metavar="NAME,...", help=f"Of {', '.join(CONTENDERS)}.  [default: all]")
@click.option("--optimizer", "optimizers", metavar="NAME,...", help=f"Of {', '.join(OPTIMIZERS)}.  [default: all]")
@click.option(
    "--threads", type=int, default=1, show_default=True, metavar="N", help="Threads, and processors, of each."
)
@click.option("--rounds", type=int, default=Rules.rounds, show_default=True, metavar="N", help="Times each is timed.")
@click.option("--json", "json_file", metavar="FILE", help="Write the records, in full precision.")
def compare_command(
    cases: str | None,
    contenders: str | None,
    optimizers: str | None,
    threads: int,
    rounds: int,
    json_file: str | None,
) -> int:
    """Time a training step of this engine beside the frameworks that are installed.

    Every contender gets the same weights and the same batches, and its losses are compared with those of the
    float64 NumPy backend before any time is reported. Exit code 1 says that one was wrong, or failed.
    """
    chosen_cases = _chosen("case", cases, CASES, default=DEFAULT_CASES)
    entries = _chosen("contender", contenders, CONTENDERS, default=tuple(CONTENDERS))
    chosen_optimizers = _chosen("optimizer", optimizers, OPTIMIZERS, default=tuple(OPTIMIZERS))
    rules = Rules(rounds=checks.integer("rounds", rounds, at_least=1))
    if not 1 <= threads <= usable_cores():
        raise ArgumentError("threads", given=threads, expected=f"1 to {usable_cores()}, the cores it may use here")
    path = None if json_file is None else Path(json_file)
    if path is not None:
        check_writable("json", path)

    report = Report(machine={})
    with _progress() as progress:
        try:
            progress("measuring the machine's peaks")
            report.machine = _describe(threads)
            for case in chosen_cases.values():
                for optimizer in chosen_optimizers:
                    work = make_work(case, optimizer, threads=threads)
                    with Race(work, entries, rules, progress=_prefixed(progress, f"{case.name} {optimizer}")) as race:
                        try:
                            race.run()
                        finally:
                            # Also after Ctrl-C: the rounds so far were measured.
                            report.records += make_records(work, race.lanes, report.machine)
                            report.not_timed += make_not_timed(work, race.lanes)
                    if path is not None:
                        report.write(path)
        except KeyboardInterrupt:
            report.interrupted = True
    if report.interrupted and path is not None:
        report.write(path)
    if report.machine:
        print_report(report)
    if report.interrupted:
        click.echo("mlp-bench: interrupted" + ("" if path is None else f"; {path} has what was measured"), err=True)
        return INTERRUPTED
    return 1 if report.any_wrong else 0


def _chosen(argument: str, text: str | None, table: Mapping[str, T], *, default: tuple[str, ...]) -> dict[str, T]:
    """The rows of `table` that an option lists, in its order."""
    names = default if text is None else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in table:
            raise unknown_name(argument, name, table)
    return {name: table[name] for name in names}


def _describe(threads: int) -> dict[str, Any]:
    """The machine's record with what the race adds to it: threads, and peaks or why there are none."""
    machine = describe_machine()
    peaks = measure_peaks(threads)
    if isinstance(peaks, Peaks):
        found = {"gflops": peaks.gflops, "gbytes_per_second": peaks.gbytes_per_second}
        return machine | {"threads": threads, "peaks": found, "no_peaks": ""}
    return machine | {"threads": threads, "peaks": None, "no_peaks": peaks}


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is going on: on a terminal, and none in a pipe."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console  # takes as long to import as the rest of the package

    with Console(stderr=True).status("") as status:
        yield status.update


def _prefixed(progress: Callable[[str], None], where: str) -> Callable[[str], None]:
    return lambda text: progress(f"{where}: {text}")
