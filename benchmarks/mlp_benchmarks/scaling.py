"""`mlp-bench scaling`: how a step's time grows with depth, width, batch and threads, and where two contenders cross."""

import math
from collections.abc import Sequence
from itertools import combinations, pairwise

import click

from mlp_benchmarks.cases import OPTIMIZERS, Case
from mlp_benchmarks.command import chosen, exit_code, measure, thread_counts, writable
from mlp_benchmarks.contenders import BASELINE, CONTENDERS, CONTROL, ONE_THREAD
from mlp_benchmarks.race import Rules
from mlp_benchmarks.records import Record, Report
from mlp_benchmarks.report import print_report
from mlp_benchmarks.training_races import TrainingRaces
from mlp_scratch import checks

DEEP = (256, 128, 64, 32, 16)
AXES: dict[str, dict[int, Case]] = {
    "depth": {
        i + 1: Case(f"depth-{i + 1}", (784, *DEEP[:i], 10), 256, "cross_entropy", "random")
        for i in range(len(DEEP) + 1)
    },
    "width": {
        width: Case(f"width-{width}", (width, width, width, 10), 32, "cross_entropy", "random")
        for width in (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
    },
    "batch": {
        batch: Case(f"batch-{batch}", (784, 256, 10), batch, "cross_entropy", "random")
        for batch in (1, 4, 16, 64, 256, 1024)
    },
}
"""What varies, and the case at each value; depth counts dense layers."""


@click.command("scaling")
@click.option("--axis", "axes", metavar="NAME,...", help=f"Of {', '.join(AXES)}.  [default: all]")
@click.option("--contender", "contenders", metavar="NAME,...", help=f"Of {', '.join(CONTENDERS)}.  [default: all]")
@click.option("--optimizer", type=click.Choice(list(OPTIMIZERS)), default="adam", show_default=True)
@click.option("--threads", default="1", show_default=True, metavar="N,...", help="Threads, and processors, of each.")
@click.option("--rounds", type=int, default=Rules.rounds, show_default=True, metavar="N")
@click.option("--minutes", type=float, metavar="M", help="Start no further axis after so many.")
@click.option("--json", "json_file", metavar="FILE", help="Write the records, in full precision.")
def scaling_command(
    axes: str | None,
    contenders: str | None,
    optimizer: str,
    threads: str,
    rounds: int,
    minutes: float | None,
    json_file: str | None,
) -> int:
    """Time networks of growing depth, width and batch, and name the points where one contender overtakes another.

    Each contender has one process an axis. Exit code 1 says that one was wrong, or failed.
    """
    default = tuple(name for name in CONTENDERS if name != CONTROL)
    races = TrainingRaces(
        groups=[list(cases.values()) for cases in chosen("axis", axes, AXES, default=tuple(AXES)).values()],
        optimizers=[optimizer],
        threads=thread_counts(threads),
        entries=chosen("contender", contenders, CONTENDERS, default=default),
        rules=Rules(rounds=checks.integer("rounds", rounds, at_least=1), processes=1),
        minutes=None if minutes is None else checks.real("minutes", minutes, above=0.0),
    )
    path = writable("json", json_file)
    report = Report(machine={})
    measure(report, path, races.threads, lambda progress: races.run(report, progress=progress, path=path))
    if report.machine:
        print_report(report)
        for line in crossing_lines(report.records):
            click.echo(line)
    return exit_code(report, path)


def axis_of(record: Record) -> tuple[str, int] | None:
    """The axis that a record's case lies on, and where; None for a case of no axis."""
    name, _, value = record.case.partition("-")
    return (name, int(value)) if name in AXES and value.isdigit() and int(value) in AXES[name] else None


def curves(records: Sequence[Record]) -> dict[tuple[str, int], dict[str, dict[int, Record]]]:
    """By axis and number of threads, and by contender: the record at each value of the axis, in rising order."""
    found: dict[tuple[str, int], dict[str, dict[int, Record]]] = {}
    others = [record for record in records if record.contender != CONTROL]
    placed = [(place, record) for record in others if (place := axis_of(record)) is not None]
    for (axis, value), record in sorted(placed, key=lambda pair: pair[0][1]):
        found.setdefault((axis, record.threads), {}).setdefault(record.contender, {})[value] = record
    return found


def crossing_lines(records: Sequence[Record]) -> list[str]:
    """In words: where one contender overtakes another, and whom `numba` stays ahead of all along.

    One is ahead where its p90 is below the other's p10. They cross between two values where first one and then the
    other is ahead; the point is where the logarithm of the ratio of their medians, a straight line in between in the
    logarithm of the value, is 0. Who takes one thread where the others have several is left out there.
    """
    lines = []
    comparable = [record for record in records if record.threads == 1 or record.contender not in ONE_THREAD]
    for (axis, threads), by_contender in curves(comparable).items():
        where = f"{threads} thread{'s' if threads > 1 else ''}"
        behind = []
        for a, b in combinations(by_contender, 2):
            crossings = _crossings(by_contender[a], by_contender[b])
            for value, a_leads in crossings:
                first, second = (a, b) if a_leads else (b, a)
                lines.append(f"{first} overtakes {second} above {axis} {value:.3g} ({where})")
            if not crossings and BASELINE in (a, b):
                ours, other = (a, b) if a == BASELINE else (b, a)
                if _ahead_somewhere(by_contender[ours], by_contender[other]):
                    behind.append(other)
        if behind:
            lines.append(f"{BASELINE} is never behind {', '.join(behind)} over {axis} ({where})")
    return lines


def _leader(a: Record, b: Record) -> int:
    """1 where a is ahead, -1 where b is, 0 where their spreads overlap."""
    return (a.p90_us < b.p10_us) - (b.p90_us < a.p10_us)


def _ahead_somewhere(ours: dict[int, Record], other: dict[int, Record]) -> bool:
    leaders = {_leader(ours[value], other[value]) for value in ours.keys() & other.keys()}
    return 1 in leaders and -1 not in leaders


def _crossings(a: dict[int, Record], b: dict[int, Record]) -> list[tuple[float, bool]]:
    """The values at which the lead changes, each with whether a has it from there on."""
    known = [(value, leader) for value in a if value in b and (leader := _leader(a[value], b[value]))]
    found = []
    for (low, before), (high, after) in pairwise(known):
        if before != after:
            start, end = (math.log(a[value].median_us / b[value].median_us) for value in (low, high))
            share = start / (start - end)
            found.append((math.exp(math.log(low) + share * (math.log(high) - math.log(low))), after == 1))
    return found
