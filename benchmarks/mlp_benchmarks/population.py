"""`mlp-bench population`: many small networks trained at once, ours beside JAX's `vmap` over `scan`, and PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass

import click
import numpy as np

from mlp_benchmarks.command import (
    Progress,
    chosen,
    exit_code,
    measure,
    race_options,
    race_rules,
    thread_counts,
    writable,
)
from mlp_benchmarks.contenders import BASELINE
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.populations import CHECKED, EPOCHS, NETWORKS, POPULATION_CONTENDERS, PopulationWork
from mlp_benchmarks.race import Race
from mlp_benchmarks.records import Findings
from mlp_benchmarks.report import machine_lines, number, print_table
from mlp_benchmarks.statistics import paired_ratio
from mlp_scratch import checks

HEADER = ("networks", "epochs", "threads", "contender", "seconds", "p10..p90", "µs a network's step", "x numba")


@dataclass(frozen=True, kw_only=True)
class PopulationRecord:
    """One contender's time for the whole training. The ratio is that of times, paired, with a 95 % interval."""

    networks: int
    epochs: int
    steps: int
    threads: int
    contender: str
    median_s: float
    p10_s: float
    p90_s: float
    rounds: int
    processes: int
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None


class PopulationReport(Findings[PopulationRecord]):
    """All that was found so far of populations."""

    def add(self, work: PopulationWork, lanes: Sequence[Lane]) -> None:
        timed = {lane.name: lane.microseconds for lane in lanes if lane.status == "timed"}
        for name, times in timed.items():
            seconds = np.concatenate([process for process in times if process]) / 1e6
            ratio = paired_ratio(times, timed[BASELINE]) if BASELINE in timed else None
            self.records.append(
                PopulationRecord(
                    networks=work.count,
                    epochs=work.epochs,
                    steps=work.steps,
                    threads=work.threads,
                    contender=name,
                    median_s=float(np.median(seconds)),
                    p10_s=float(np.percentile(seconds, 10)),
                    p90_s=float(np.percentile(seconds, 90)),
                    rounds=len(seconds),
                    processes=len(times),
                    ratio=ratio.value if ratio else None,
                    ratio_low=ratio.low if ratio else None,
                    ratio_high=ratio.high if ratio else None,
                )
            )
        for lane in lanes:
            if not lane.racing:
                self.leave_out(lane.name, lane.status, lane.reason, threads=work.threads)


@click.command("population")
@click.option("--networks", type=int, default=NETWORKS, show_default=True, metavar="N", help="4 at least.")
@click.option("--epochs", type=int, default=EPOCHS, show_default=True, metavar="N")
@click.option("--contender", "contenders", metavar="NAME,...", help=f"Of {', '.join(POPULATION_CONTENDERS)}.")
@race_options(rounds=3)
def population_command(
    networks: int,
    epochs: int,
    contenders: str | None,
    threads: str,
    rounds: int,
    processes: int,
    json_file: str | None,
) -> int:
    """Time the training of many networks 2-24-1 at once: Adam, batch 32, each with its own seed.

    The first losses of four of them are compared with the float64 NumPy backend's.
    """
    count = checks.integer("networks", networks, at_least=CHECKED)
    entries = chosen("contender", contenders, POPULATION_CONTENDERS, default=tuple(POPULATION_CONTENDERS))
    rules = race_rules(rounds, processes, budget=60.0)
    works = [
        PopulationWork(count, checks.integer("epochs", epochs, at_least=1), each) for each in thread_counts(threads)
    ]
    path = writable("json", json_file)
    report = PopulationReport()

    def hold_races(progress: Progress) -> None:
        for work in works:
            with Race([work], entries, rules, threads=work.threads, progress=progress) as race:
                try:
                    race.run()
                finally:
                    report.add(work, race.lanes[0])

    measure(report, path, [work.threads for work in works], hold_races)
    if report.machine:
        print_table(HEADER, [_row(record) for record in report.records])
        for line in machine_lines(report.machine):
            click.echo(line)
        for entry in report.not_timed:
            click.echo(f"{entry['status']}: {entry['contender']}: {entry['reason']} ({entry['threads']} threads)")
    return exit_code(report, path)


def _row(record: PopulationRecord) -> tuple[str, ...]:
    ratio = "-" if record.ratio is None else f"{record.ratio:.2f} [{record.ratio_low:.2f}, {record.ratio_high:.2f}]"
    return (
        *map(str, (record.networks, record.epochs, record.threads, record.contender)),
        number(record.median_s),
        f"{number(record.p10_s)}..{number(record.p90_s)}",
        number(1e6 * record.median_s / record.steps / record.networks),
        ratio,
    )
