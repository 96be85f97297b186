"""Races over cases, optimisers and numbers of threads, and what they add to a report."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.cases import Case
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Verdict
from mlp_benchmarks.peaks import measure_again
from mlp_benchmarks.race import Race, Rules
from mlp_benchmarks.records import Report, make_not_timed, make_records
from mlp_benchmarks.reference import ReferenceMaker
from mlp_benchmarks.work import Work, make_work
from mlp_scratch.training import seconds_a_call

SECONDS_A_PARAMETER = 5e-7
"""A compiled loop may bring the parameters into a layout of its own once a call. Rounds are long enough for this to be
a small part of them, and no longer than a call in a fit."""
MOST_SECONDS = 1.5
"""Nor longer than this, so that a race of nine ends in time: where a call in a fit takes longer, for very much that is
trained, the layout weighs more here than there."""


@dataclass(frozen=True)
class TrainingJob:
    """Some work, judged by its loss curve."""

    kind: ClassVar[str] = "mlp_benchmarks.work:Work"
    work: Work
    references: ReferenceMaker

    @property
    def name(self) -> str:
        return f"{self.work.case.name} {self.work.optimizer} on {self.work.threads}"

    @property
    def least_seconds(self) -> float:
        parameters, slots = self.work.case.n_parameters, len(self.work.rule.slots)
        return min(MOST_SECONDS, seconds_a_call(parameters * (1 + slots)), SECONDS_A_PARAMETER * parameters)

    def save(self, path: Path) -> None:
        self.work.save(path)

    def judge(self, entry: Entry, evidence: npt.NDArray[np.float64]) -> Verdict:
        reference = self.references.get(entry.adam_form, entry.most_loss)
        step = reference.first_refused(evidence)
        fault = (
            "" if step is None else f"the losses leave the float64 curve at step {step} by more than rounding explains"
        )
        return Verdict(reference.gap(evidence), float(reference.bound[len(evidence) - 1]), fault)


@dataclass(frozen=True, kw_only=True)
class TrainingRaces:
    """What is raced, and how.

    Attributes:
        groups: cases; those of one group are raced in the same processes, one after the other.
        optimizers: their names.
        threads: how many threads each contender has, in one race after the other.
        minutes: after so many no further group starts; None for no end.
    """

    groups: Sequence[Sequence[Case]]
    optimizers: Sequence[str]
    threads: Sequence[int]
    entries: Mapping[str, Entry]
    rules: Rules = field(default_factory=Rules)
    minutes: float | None = None

    def run(self, report: Report, *, progress: Callable[[str], None], path: Path | None) -> int:
        """Run them all, adding to the report and its file after each; the number of cases for which time was left.

        The reference curves are made once, for all contenders and numbers of threads. Also what an interrupted race
        has measured is in the report.
        """
        start = time.monotonic()
        done = 0
        for group in self.groups:
            if self.minutes is not None and time.monotonic() - start > 60 * self.minutes:
                break
            progress(f"{group[0].name}: reference curves")
            single = [
                TrainingJob(work, ReferenceMaker(work))
                for work in (make_work(case, name, threads=1) for case in group for name in self.optimizers)
            ]
            for threads in self.threads:
                jobs = [replace(job, work=replace(job.work, threads=threads)) for job in single]
                with Race(jobs, self.entries, self.rules, threads=threads, progress=progress) as race:
                    try:
                        for job, lanes in zip(jobs, race.lanes, strict=True):
                            job.references.make(lane.entry.adam_form for lane in lanes if lane.racing)
                        race.run()
                    finally:
                        for job, lanes in zip(jobs, race.lanes, strict=True):
                            report.records += make_records(job.work, lanes, report.machine)
                            report.not_timed += make_not_timed(job.work, lanes)
                progress("measuring the machine's peaks once more")
                report.learn(measure_again(report.machine, threads))
                if path is not None and report.records:
                    report.write(path)
            done += len(group)
        return done
