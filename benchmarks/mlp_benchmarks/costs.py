"""`mlp-bench costs`: what people feel beside the time of a step.

Start: seconds from the start of a process to its first step, with empty caches of compiled code (cold) and with the
caches that this left (warm); what the first step took longer than the second one, which is compilation; the most
memory. Training: seconds from a warm start until a share of held-out samples is right. Prediction: one sample at a
time, and ten thousand.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np

from mlp_benchmarks.cases import CASES, Case
from mlp_benchmarks.command import Progress, chosen, exit_code, measure, writable
from mlp_benchmarks.contenders import CONTENDERS, Entry
from mlp_benchmarks.predictions import PREDICTORS, PredictJob
from mlp_benchmarks.process import Worker, WorkerError, choose_cpus, jax_cache
from mlp_benchmarks.race import Race, Rules
from mlp_benchmarks.records import Findings
from mlp_benchmarks.reference import ReferenceMaker, accuracy_curve
from mlp_benchmarks.report import machine_lines, number, print_table
from mlp_benchmarks.work import make_work
from mlp_scratch import checks

STARTED = ("numba", "torch", "torch-compile", "jax", "jax-scan", "keras", "sklearn", "numpy")
COSTED = ("digits", "d2l")
TARGETS = {"digits": 0.95, "d2l": 0.9}
"""The share of held-out samples to get right."""
LONGEST = 2000
"""Steps, in which a case must reach its target."""
HEADER = ("case", "contender", "cold s", "warm s", "compile s", "memory MB", "target", "steps", "s to target")
PREDICT_HEADER = ("case", "contender", "µs for 1", "p10..p90", "samples/s at 10,000")
LATENCY_BATCH, THROUGHPUT_BATCH = 1, 10_000


@dataclass(frozen=True, kw_only=True)
class StartRecord:
    """One contender's start and training.

    Attributes:
        cold_s: from the start of the process to the end of its first step, nothing compiled before.
        warm_s: the same with compiled code in its caches; the median of the repetitions.
        compile_s: what the cold first step took longer than the second.
        memory_mb: the most memory of a warm process over the training, in 1e6 bytes.
        target: the share of held-out samples to get right, after `target_steps` steps for all, as their losses are.
        target_s: from the start of a warm process until then; the median.
    """

    what: str = "start"
    case: str
    optimizer: str
    threads: int
    contender: str
    cold_s: float
    warm_s: float
    compile_s: float
    memory_mb: float
    target: float
    target_steps: int
    target_s: float
    repetitions: int


@dataclass(frozen=True, kw_only=True)
class PredictRecord:
    """One contender's predictions: time of a single sample, samples a second in large batches."""

    what: str = "predict"
    case: str
    threads: int
    contender: str
    latency_us: float
    latency_p10_us: float
    latency_p90_us: float
    samples_per_second: float


CostReport: TypeAlias = Findings[StartRecord | PredictRecord]


@click.command("costs")
@click.option("--case", "cases", metavar="NAME,...", help=f"Of {', '.join(TARGETS)}.  [default: all]")
@click.option("--contender", "contenders", metavar="NAME,...", help=f"Of {', '.join(STARTED)}.  [default: all]")
@click.option("--repetitions", type=int, default=3, show_default=True, metavar="N", help="Warm starts of each.")
@click.option("--json", "json_file", metavar="FILE", help="Write the records, in full precision.")
def costs_command(cases: str | None, contenders: str | None, repetitions: int, json_file: str | None) -> int:
    """Measure starting, compiling, memory, predicting, and the time to reach an accuracy, on one thread with Adam."""
    repeated = checks.integer("repetitions", repetitions, at_least=1)
    table = {name: CONTENDERS[name] for name in STARTED}
    entries = chosen("contender", contenders, table, default=STARTED)
    wanted = [CASES[name] for name in chosen("case", cases, TARGETS, default=COSTED)]
    path = writable("json", json_file)
    report = CostReport()

    def measure_all(progress: Progress) -> None:
        for case in wanted:
            measure_starts(case, entries, repeated, report, progress)
            predictors = {name: entry for name, entry in PREDICTORS.items() if name in (*entries, "onnxruntime")}
            measure_predictions(case, predictors, report, progress)
            if path is not None and report.records:
                report.write(path)

    measure(report, path, [1], measure_all)
    if report.machine:
        _print(report)
    return exit_code(report, path)


def measure_starts(
    case: Case, entries: Mapping[str, Entry], repetitions: int, report: CostReport, progress: Progress
) -> None:
    """Cold and warm starts of every contender, one process at a time."""
    work = make_work(case, "adam", threads=1)
    if work.data == "random":
        reason = "MNIST is not here, and random pixels teach nothing (set MLP_SCRATCH_DATA)"
        for name in entries:
            report.leave_out(name, "skipped", reason, case=case.name)
        return
    target = TARGETS[case.name]
    reached = np.flatnonzero(accuracy_curve(work, LONGEST) >= target)
    steps = int(reached[0]) if len(reached) else LONGEST
    references = ReferenceMaker(work)
    for name, entry in entries.items():
        if not entry.installed:
            report.leave_out(name, "skipped", f"not installed ({entry.install})", case=case.name)
            continue
        # Caches of its own: the cold start finds them empty, the warm ones as the cold one left them.
        with tempfile.TemporaryDirectory(prefix="mlp-bench-") as folder:
            file, caches = Path(folder) / "work.npz", caches_in(Path(folder))
            work.save(file)
            runs = []
            try:
                for number_of_run in range(1 + repetitions):
                    progress(f"{case.name}: {name}, {'warm' if number_of_run else 'cold'} start")
                    runs.append(_start(entry, file, steps, caches))
            except WorkerError as error:
                report.leave_out(name, "failed", str(error), case=case.name)
                continue
        cold, *warm = runs
        if references.get(entry.adam_form, entry.most_loss).first_refused(np.array(cold["losses"])) is not None:
            reason = "the losses leave the float64 curve by more than rounding explains"
            report.leave_out(name, "wrong", reason, case=case.name)
            continue
        report.records.append(
            StartRecord(
                case=case.name,
                optimizer="adam",
                threads=1,
                contender=name,
                cold_s=cold["first"],
                warm_s=float(np.median([run["first"] for run in warm])),
                compile_s=(cold["first"] - cold["ready"]) - (cold["second"] - cold["first"]),
                memory_mb=float(np.median([run["memory"] for run in warm])) / 1e6,
                target=target,
                target_steps=steps,
                target_s=float(np.median([run["trained"] - run["needless"] for run in warm])),
                repetitions=repetitions,
            )
        )


def caches_in(folder: Path) -> dict[str, str]:
    """The variables by which each library keeps in `folder` what it compiles."""
    own = {"NUMBA_CACHE_DIR": "numba", "TORCHINDUCTOR_CACHE_DIR": "torch"}
    return {variable: str(folder / name) for variable, name in own.items()} | jax_cache(folder / "jax")


def measure_predictions(case: Case, entries: Mapping[str, Entry], report: CostReport, progress: Progress) -> None:
    """Latency and throughput of every predictor, in a race."""
    jobs = [PredictJob(case, batch) for batch in (LATENCY_BATCH, THROUGHPUT_BATCH)]
    with Race(jobs, entries, Rules(), progress=progress) as race:
        race.run()
    for single, many in zip(*race.lanes, strict=True):
        for lane in (single, many):
            if not lane.racing:
                report.leave_out(lane.name, lane.status, lane.reason, case=case.name)
                break
        else:
            latency, batch = (np.concatenate(lane.microseconds) for lane in (single, many))
            report.records.append(
                PredictRecord(
                    case=case.name,
                    threads=1,
                    contender=single.name,
                    latency_us=float(np.median(latency)),
                    latency_p10_us=float(np.percentile(latency, 10)),
                    latency_p90_us=float(np.percentile(latency, 90)),
                    samples_per_second=THROUGHPUT_BATCH / float(np.median(batch)) * 1e6,
                )
            )


def _start(entry: Entry, file: Path, steps: int, caches: Mapping[str, str]) -> dict[str, Any]:
    """One process from its start to its end: its answer, its moments in seconds since the start."""
    arguments = ["-m", "mlp_benchmarks.first_step", entry.path, str(file), str(steps)]
    start = time.time()
    worker = Worker(arguments, cpus=choose_cpus(1), patience=Rules.patience, environment=caches)
    try:
        answer = worker.answer()
    finally:
        worker.end()
    moments = ("ready", "first", "second", "trained")
    return answer | {moment: answer[moment] - start for moment in moments}


def _print(report: CostReport) -> None:
    starts = [record for record in report.records if isinstance(record, StartRecord)]
    print_table(
        HEADER,
        [
            (
                *(record.case, record.contender),
                *map(number, (record.cold_s, record.warm_s, record.compile_s, record.memory_mb)),
                *(f"{record.target:.0%}", str(record.target_steps), number(record.target_s)),
            )
            for record in starts
        ],
        [record.case for record in starts],
    )
    predictions = [record for record in report.records if isinstance(record, PredictRecord)]
    print_table(
        PREDICT_HEADER,
        [
            (
                *(record.case, record.contender, number(record.latency_us)),
                f"{number(record.latency_p10_us)}..{number(record.latency_p90_us)}",
                number(record.samples_per_second),
            )
            for record in predictions
        ],
        [record.case for record in predictions],
    )
    for line in machine_lines(report.machine):
        click.echo(line)
    for entry in report.not_timed:
        click.echo(f"{entry['status']}: {entry['contender']}: {entry['reason']} ({entry['case']})")
