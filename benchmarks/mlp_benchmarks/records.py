"""What a comparison leaves behind: one record a contender, case and optimiser, and the JSON file of them all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from mlp_benchmarks.contenders import BASELINE
from mlp_benchmarks.files import read_json, write_json
from mlp_benchmarks.floor import Peaks, bytes_per_step, floor_us, flops_per_step, last_level_cache
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.statistics import paired_ratio
from mlp_benchmarks.work import Work
from mlp_scratch.errors import DataFileError

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One contender's times in one race. Times are microseconds a step.

    Attributes:
        data: where the samples are from; "random" where there was no MNIST.
        median_us, p10_us, p90_us: over the rounds.
        ratio, ratio_low, ratio_high: its time over `numba`'s of the same rounds, with a 95 % interval
            (`statistics.paired_ratio`); None where `numba` was not timed.
        floor_us: the least a step can take on this machine; None where the peaks could not be measured.
        rounds: in all processes together.
        processes: how many processes, one after the other, the rounds were spread over.
        loss_gap: the largest relative gap between its losses and those of the float64 NumPy backend.
        loss_bound: the gap that rounding allows at the last step checked.
        steps_checked: how many steps' losses were compared.
        steps_per_round: how many steps each round had.
        rounds_us: the raw times, by process and round.
    """

    case: str
    widths: tuple[int, ...]
    batch: int
    optimizer: str
    dtype: str = "float32"
    threads: int
    contender: str
    median_us: float
    p10_us: float
    p90_us: float
    rounds: int
    processes: int
    steps_checked: int
    floor_us: float | None
    loss_gap: float | None
    loss_bound: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    data: str
    flops_per_step: int
    bytes_per_step: int
    steps_per_round: int
    rounds_us: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class NotTimed:
    """A contender without times: "skipped", "failed" or "wrong", and why."""

    case: str
    optimizer: str
    threads: int
    contender: str
    status: str
    reason: str
    loss_gap: float | None


@dataclass
class Report:
    """All that a comparison found so far.

    Attributes:
        machine: what it ran on, with the measured peaks.
        interrupted: whether it was ended before its end.
    """

    machine: Mapping[str, Any]
    records: list[Record] = field(default_factory=list)
    not_timed: list[NotTimed] = field(default_factory=list)
    interrupted: bool = False

    @property
    def any_wrong(self) -> bool:
        return any(entry.status in ("wrong", "failed") for entry in self.not_timed)

    def learn(self, machine: Mapping[str, Any]) -> None:
        """Take over the machine's record where its peaks are known better now, and the floors that follow from them."""
        self.machine = machine
        for i, record in enumerate(self.records):
            if record.floor_us is not None:
                floor = _floor(machine, record.threads, record.flops_per_step, record.bytes_per_step)
                self.records[i] = replace(record, floor_us=floor)

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        write_json(path, asdict(self))


@dataclass
class Findings(Generic[R]):
    """All that a command found so far where records are of its own kind.

    Attributes:
        machine: what it ran on, with the measured peaks.
        records: of what was timed.
        not_timed: of each contender that was not: the work, its name, its status ("skipped", "failed" or "wrong"), why.
        interrupted: whether it was ended before its end.
    """

    machine: Mapping[str, Any] = field(default_factory=dict)
    records: list[R] = field(default_factory=list)
    not_timed: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def any_wrong(self) -> bool:
        return any(entry["status"] in ("wrong", "failed") for entry in self.not_timed)

    def leave_out(self, contender: str, status: str, reason: str, **work: Any) -> None:
        """Note a contender that has no times, and at which work."""
        self.not_timed.append({**work, "contender": contender, "status": status, "reason": reason})

    def write(self, path: Path) -> None:
        """Write the JSON file."""
        write_json(path, asdict(self))


def read_report(path: Path) -> Report:
    """The report that `write` wrote; raises `DataFileError` for any other file."""
    contents = read_json(path)
    try:
        records = [Record(**_tuples(record)) for record in contents.pop("records")]
        not_timed = [NotTimed(**entry) for entry in contents.pop("not_timed")]
        return Report(records=records, not_timed=not_timed, **contents)
    except (AttributeError, KeyError, TypeError):
        raise DataFileError(
            f"{path}: got records with other fields, expected those of `mlp-bench compare`; measure it again"
        ) from None


def make_records(work: Work, lanes: Sequence[Lane], machine: Mapping[str, Any]) -> list[Record]:
    """The records of the contenders that were timed, the fastest first."""
    timed = {lane.name: lane.microseconds for lane in lanes if lane.status == "timed"}
    case, flops, moved = work.case, flops_per_step(work.case), bytes_per_step(work.case, work.optimizer)
    floor = _floor(machine, work.threads, flops, moved)
    records = []
    for lane in lanes:
        if lane.name not in timed:
            continue
        times = [process for process in timed[lane.name] if process]
        pooled = np.concatenate(times)
        ratio = paired_ratio(timed[lane.name], timed[BASELINE]) if BASELINE in timed else None
        records.append(
            Record(
                case=case.name,
                widths=case.widths,
                batch=case.batch,
                optimizer=work.optimizer,
                threads=work.threads,
                contender=lane.name,
                median_us=float(np.median(pooled)),
                p10_us=float(np.percentile(pooled, 10)),
                p90_us=float(np.percentile(pooled, 90)),
                rounds=len(pooled),
                processes=len(times),
                steps_checked=work.steps_checked,
                # The ceilings are those of the processor.
                floor_us=floor if lane.entry.device == "cpu" else None,
                loss_gap=lane.gap,
                loss_bound=lane.bound,
                ratio=ratio.value if ratio else None,
                ratio_low=ratio.low if ratio else None,
                ratio_high=ratio.high if ratio else None,
                data=work.data,
                flops_per_step=flops,
                bytes_per_step=moved,
                steps_per_round=lane.steps,
                rounds_us=tuple(tuple(process) for process in times),
            )
        )
    return sorted(records, key=lambda record: record.median_us)


def _floor(machine: Mapping[str, Any], threads: int, flops: int, moved: int) -> float | None:
    peaks = machine["peaks"].get(str(threads))
    return floor_us(flops, moved, Peaks(**peaks), last_level_cache(machine)) if peaks else None


def make_not_timed(work: Work, lanes: Sequence[Lane]) -> list[NotTimed]:
    """The contenders that were taken out of the race."""
    return [
        NotTimed(
            case=work.case.name,
            optimizer=work.optimizer,
            threads=work.threads,
            contender=lane.name,
            status=lane.status,
            reason=lane.reason,
            loss_gap=lane.gap if lane.gap is not None and math.isfinite(lane.gap) else None,  # JSON has no NaN
        )
        for lane in lanes
        if not lane.racing
    ]


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(value, dict):
        return {name: _tuples(each) for name, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
