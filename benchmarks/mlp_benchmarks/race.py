"""The race: contenders for some jobs, checked first, then timed in turns.

1. All workers start, side by side on all processors: imports are not timed.
2. For each job, each shows the evidence of its first steps. Who does other work is out.
3. Each finds how many steps take long enough to time.
4. Rounds: A B C A B C ..., one at a time, all on the same processors; who has no turn is parked, with all its
   threads. What the machine does to one round of A it does to B's and C's of that round too, so that their ratio
   holds.
5. All of that again in new processes: where a process's memory lies in the caches is luck, and it keeps its luck.

Every round begins at the same state, so its evidence is known: the timed steps are checked as well.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.process import Worker, WorkerError, places

Status = Literal["waiting", "timed", "wrong", "skipped", "failed"]


class Job(Protocol):
    """What all contenders of a race do.

    Attributes:
        kind: "module:class" of what a worker loads from the file that `save` writes.
        name: for the progress line.
        least_seconds: how long a round must take for this job.
    """

    kind: ClassVar[str]

    @property
    def least_seconds(self) -> float: ...

    @property
    def name(self) -> str: ...

    def save(self, path: Path) -> None:
        """Write all that a worker needs."""

    def judge(self, entry: Entry, evidence: npt.NDArray[np.float64]) -> "Verdict":
        """Whether this is the evidence of the right work; it may be that of fewer steps than are checked."""


@dataclass(frozen=True)
class Verdict:
    """What evidence shows.

    Attributes:
        gap: how far it is from what is right, at most.
        bound: the gap that rounding allows.
        fault: what is wrong with it, in words; empty where nothing is.
    """

    gap: float
    bound: float
    fault: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a race is run.

    Attributes:
        rounds: how often each contender is timed in each process.
        processes: how many processes each contender has, one after the other.
        seconds: how long a round takes at least, whatever the job.
        patience: how long a worker may take to answer.
        budget: seconds after which the rounds of one job in one process end early.
    """

    rounds: int = 7
    processes: int = 3
    seconds: float = 0.02
    patience: float = 180.0
    budget: float = 8.0


FEWEST_ROUNDS = 2
"""In each process, whatever the budget: one round has no spread."""
SLOW = 2.0
"""Seconds a round. Who takes longer is not timed more often than that: it would use up the rounds of the others."""


@dataclass
class Lane:
    """One contender with one job.

    Attributes:
        status: "waiting" until it has been timed; "skipped", "wrong" or "failed" take it out of the race.
        reason: why it is out.
        steps: in a round.
        seconds: of each round so far, by process.
        gap: the largest gap between its evidence and what is right, over check and rounds.
        bound: the gap that rounding allows at the last step checked.
    """

    name: str
    entry: Entry
    status: Status = "waiting"
    reason: str = ""
    steps: int = 0
    seconds: list[list[float]] = field(default_factory=list)
    gap: float | None = None
    bound: float | None = None

    @property
    def racing(self) -> bool:
        return self.status in ("waiting", "timed")

    @property
    def microseconds(self) -> list[list[float]]:
        """A step's time in each round, by process."""
        return [[1e6 * seconds / self.steps for seconds in process] for process in self.seconds]


class Race:
    """Jobs and contenders; a context manager that leaves no worker behind.

    Args:
        jobs: what all of them do, one after the other in the same processes.
        entries: the contenders by name.
        rules: how the race is run.
        threads: of each contender.
        progress: is told what is going on, in a few words.

    Attributes:
        lanes: for each job the contenders, with what is known so far: it can be read after an interrupt.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        entries: Mapping[str, Entry],
        rules: Rules,
        *,
        threads: int = 1,
        progress: Callable[[str], None],
    ) -> None:
        self._jobs, self._entries, self._rules, self._progress = jobs, entries, rules, progress
        self._threads, self._places = threads, places(threads)
        self._folder = TemporaryDirectory(prefix="mlp-bench-")
        self._workers: dict[str, Worker] = {}
        self._ended = False
        self.lanes = [[Lane(name, entry) for name, entry in entries.items()] for _ in jobs]

    def __enter__(self) -> "Race":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._end_workers()
        self._folder.cleanup()

    def run(self) -> None:
        """Start, check, tune and time them all, in one set of processes after the other."""
        self._skip_missing()
        for number, job in enumerate(self._jobs):
            if any(lane.racing for lane in self.lanes[number]):
                job.save(self._file(number))
        for process in range(self._rules.processes):
            self._start_workers(process)
            for number in range(len(self._jobs)):
                self.run_job(number, process)
            self._end_workers()

    def run_job(self, number: int, process: int) -> None:
        """Check, tune and time all contenders of one job in the processes that are there."""
        lanes, job = self.lanes[number], self._jobs[number]
        where = f"{job.name}, process {process + 1} of {self._rules.processes}"
        self._progress(f"{where}: check")
        self._at_once(lanes, lambda lane, worker: self._take_on(lane, worker, number))
        for lane in _racing(lanes):
            self._progress(f"{where}: warm-up of {lane.name}")
            self._attempt(lambda lane, worker: self._tune(lane, worker, job), lane)
        end = time.monotonic() + self._rules.budget
        for lane in _racing(lanes):
            lane.seconds.append([])
        for count in range(1, self._rules.rounds + 1):
            if count > FEWEST_ROUNDS and time.monotonic() > end:
                break
            self._progress(f"{where}: round {count} of {self._rules.rounds}")
            for lane in _racing(lanes):
                if count <= FEWEST_ROUNDS or lane.seconds[-1][-1] < SLOW:
                    self._attempt(lambda lane, worker: self._time(lane, worker, job), lane)

    def _skip_missing(self) -> None:
        for lane in (lane for lanes in self.lanes for lane in lanes):
            if lane.entry.package and find_spec(lane.entry.package) is None:
                lane.status, lane.reason = "skipped", f"not installed ({lane.entry.install})"

    def _start_workers(self, process: int) -> None:
        self._progress(f"starting, process {process + 1} of {self._rules.processes}")
        needed = {lane.name for lanes in self.lanes for lane in _racing(lanes)}
        for i, name in enumerate(name for name in self._entries if name in needed):
            self._workers[name] = self._start_worker(name, self._places[i % len(self._places)])

    def _start_worker(self, name: str, cpus: Sequence[int]) -> Worker:
        entry = self._entries[name]
        arguments = ["-m", "mlp_benchmarks.worker", entry.path]
        return Worker(arguments, cpus=cpus, threads=self._threads, patience=self._rules.patience, device=entry.device)

    def _at_once(self, lanes: Sequence[Lane], action: Callable[[Lane, Worker], None]) -> None:
        """Do what is not timed with all contenders, as many side by side as have processors of their own."""
        racing = _racing(lanes)
        for lane in racing:
            if lane.name not in self._workers:  # it fell out of an earlier job
                self._workers[lane.name] = self._start_worker(lane.name, self._places[-1])
        groups = [racing[i :: len(self._places)] for i in range(len(self._places))]

        def work_off(group: Sequence[Lane], cpus: Sequence[int]) -> None:
            for lane in group:
                if not self._ended:
                    self._workers[lane.name].bind(cpus)
                    self._attempt(action, lane)

        with ThreadPoolExecutor(len(groups)) as pool:
            try:
                list(pool.map(work_off, groups, self._places))
            except BaseException:
                self._ended = True
                self._end_workers()  # else the pool would wait for their answers
                raise
        for lane in _racing(lanes):
            self._workers[lane.name].bind(self._places[-1])

    def _take_on(self, lane: Lane, worker: Worker, number: int) -> None:
        """Load the job; in the first process, show the evidence of the first steps."""
        job = self._jobs[number]
        answer = worker.ask({"do": "load", "file": str(self._file(number)), "job": job.kind})
        if "unsuitable" in answer:
            lane.status, lane.reason = "skipped", answer["unsuitable"]
        elif lane.steps:
            self._compare(lane, job, worker.ask({"do": "warm_up", "steps": lane.steps}), "warming up")
        else:
            self._compare(lane, job, worker.ask({"do": "check"}), "")

    def _tune(self, lane: Lane, worker: Worker, job: Job) -> None:
        if not lane.steps:
            seconds = max(self._rules.seconds, job.least_seconds)
            lane.steps = worker.ask({"do": "tune", "seconds": seconds})["steps"]

    def _time(self, lane: Lane, worker: Worker, job: Job) -> None:
        result = worker.ask({"do": "round"})
        self._compare(lane, job, result, "while timed")
        if lane.racing:
            lane.seconds[-1].append(result["seconds"])
            lane.status = "timed"

    def _compare(self, lane: Lane, job: Job, answer: Mapping[str, list[float | None]], when: str) -> None:
        evidence = np.array(answer["evidence"], dtype=np.float64)  # None becomes NaN
        verdict = job.judge(lane.entry, evidence)
        # NaN, which nothing exceeds, must stay.
        lane.gap = verdict.gap if lane.gap is None or not verdict.gap <= lane.gap else lane.gap
        lane.bound = max(lane.bound or 0.0, verdict.bound)
        if verdict.fault:
            lane.status = "wrong"
            lane.reason = f"{when}: {verdict.fault}" if when else verdict.fault
            lane.seconds.clear()

    def _attempt(self, action: Callable[[Lane, Worker], None], lane: Lane) -> None:
        """Do something with a contender, which is parked before and after; whatever becomes of it, others go on."""
        worker = self._workers[lane.name]
        try:
            worker.unpark()
            action(lane, worker)
            worker.park()
        except WorkerError as error:
            if not self._ended:
                lane.status, lane.reason = "failed", str(error)
                self._workers.pop(lane.name).end()

    def _file(self, number: int) -> Path:
        return Path(self._folder.name) / f"job-{number}.npz"

    def _end_workers(self) -> None:
        for worker in self._workers.values():
            worker.end()
        self._workers = {}


def _racing(lanes: Sequence[Lane]) -> list[Lane]:
    return [lane for lane in lanes if lane.racing]
