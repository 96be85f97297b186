"""`mlp-bench population`: many small networks trained at once, ours beside JAX's `vmap` over `scan`, and PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import click
import numpy as np
import numpy.typing as npt

from mlp_benchmarks.cases import CASES, Case
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
from mlp_benchmarks.contenders.base import Entry
from mlp_benchmarks.lanes import Lane, Verdict
from mlp_benchmarks.race import Race
from mlp_benchmarks.records import SCHEMA, write_json
from mlp_benchmarks.reference import ReferenceMaker
from mlp_benchmarks.report import machine_lines, number, print_table
from mlp_benchmarks.samples import load_samples
from mlp_benchmarks.statistics import paired_ratio
from mlp_benchmarks.work import STEPS_CHECKED, Work
from mlp_scratch import MLP, Population, checks
from mlp_scratch._types import Array, IntArray
from mlp_scratch.random import permutation

NETWORKS, EPOCHS, CHECKED = 100, 10, 4
"""CHECKED: how many of the networks are compared, loss by loss, with the float64 reference."""
HEADER = ("networks", "epochs", "threads", "contender", "seconds", "p10..p90", "µs a network's step", "x numba")

_HERE = "mlp_benchmarks.contenders.populations"
POPULATION_CONTENDERS: dict[str, Entry] = {
    "numba": Entry(f"{_HERE}:Numba"),
    "jax-vmap-scan": Entry(f"{_HERE}_jax:JaxVmapScan", "jax", "pip install jax"),
    "torch-stacked": Entry(f"{_HERE}_torch:TorchStacked", "torch", "pip install torch"),
    "cuda": Entry(f"{_HERE}:Cuda", device="gpu"),
    "jax-cuda-vmap-scan": Entry(f"{_HERE}_jax:JaxVmapScanCuda", "jax", "pip install 'jax[cuda13]'", device="gpu"),
}


@dataclass(frozen=True, eq=False)
class PopulationWork:
    """Networks 2-24-1 on the xy task, Adam, batch 32: each with its own weights and its own order of the samples.

    Attributes:
        count: how many networks; network i has seed i.
        epochs: over 9,984 samples, so that every batch is full.
        threads: of each contender.
    """

    kind: ClassVar[str] = "mlp_benchmarks.population:PopulationWork"
    least_seconds: ClassVar[float] = 0.0
    steps_checked: ClassVar[int] = 1
    networks_checked: ClassVar[int] = CHECKED
    evidence_kept: ClassVar[int] = STEPS_CHECKED * CHECKED
    count: int = NETWORKS
    epochs: int = EPOCHS
    threads: int = 1

    @property
    def case(self) -> Case:
        return CASES["xy-1x24"]

    @property
    def name(self) -> str:
        return f"{self.count} networks on {self.threads}"

    @cached_property
    def samples(self) -> tuple[Array, Array]:
        """X (N, 2) and y (N, 1), N a multiple of the batch."""
        samples = load_samples(self.case)
        n = len(samples.X) // self.case.batch * self.case.batch
        return samples.X[:n], samples.y[:n]

    @property
    def steps(self) -> int:
        """Of each network."""
        return self.epochs * len(self.samples[0]) // self.case.batch

    def population(self) -> Population:
        """Our own networks, untrained."""
        return Population(MLP(self.case.widths, dtype="float32"), seeds=range(self.count))

    def parameters(self) -> Array:
        """The initial ones, (networks, P)."""
        return np.stack([model.flat for model in self.population().models])

    def order(self, network: int) -> IntArray:
        """The rows of each of its batches, (steps, batch)."""
        n = len(self.samples[0])
        order = [permutation(network, epoch, n) for epoch in range(self.epochs)]
        return np.concatenate(order).reshape(-1, self.case.batch)

    @cached_property
    def references(self) -> list[ReferenceMaker]:
        X, y = self.samples
        parameters = self.parameters()
        return [
            ReferenceMaker(Work(self.case, "adam", self.threads, "xy", X, y, parameters[i], self.order(i)))
            for i in range(CHECKED)
        ]

    def save(self, path: Path) -> None:
        np.savez(path, count=self.count, epochs=self.epochs, threads=self.threads)

    @classmethod
    def load(cls, path: Path) -> "PopulationWork":
        with np.load(path) as file:
            return cls(*(int(file[name]) for name in ("count", "epochs", "threads")))

    def batches(self, steps: int) -> int:
        """A step of this race is the whole training of all networks."""
        return steps

    def judge(self, entry: Entry, evidence: npt.NDArray[np.float64]) -> Verdict:
        gap = bound = 0.0
        for i, maker in enumerate(self.references):
            reference, losses = maker.get(entry.adam_form), evidence[i * STEPS_CHECKED : (i + 1) * STEPS_CHECKED]
            gap, bound = max(gap, reference.gap(losses)), max(bound, float(reference.bound[-1]))
            if (step := reference.first_refused(losses)) is not None:
                return Verdict(gap, bound, f"network {i} leaves its float64 curve at step {step}")
        return Verdict(gap, bound, "")


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


@dataclass
class PopulationReport:
    """All that was found so far."""

    machine: Mapping[str, Any]
    records: list[PopulationRecord] = field(default_factory=list)
    not_timed: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def any_wrong(self) -> bool:
        return any(entry["status"] in ("wrong", "failed") for entry in self.not_timed)

    def write(self, path: Path) -> None:
        write_json(path, {"schema": SCHEMA, **asdict(self)})

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
        self.not_timed += [
            {"threads": work.threads, "contender": lane.name, "status": lane.status, "reason": lane.reason}
            for lane in lanes
            if not lane.racing
        ]


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
    report = PopulationReport({})

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
