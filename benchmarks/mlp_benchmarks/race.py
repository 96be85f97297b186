"""The race: contenders for some jobs, checked first, then timed in turns.

1. All workers start, side by side on all processors: imports are not timed.
2. For each job, each shows the evidence of its first steps. Who does other work is out. That is not timed either, so
   it goes on side by side, at two threads each on shared processors, those first that took longest the last time.
3. Each finds how many steps take long enough to time, with its processors to itself.
4. Rounds: A B C A B C ..., one at a time, all on the same processors; who has no turn is parked, with all its
   threads. What the machine does to one round of A it does to B's and C's of that round too, so that their ratio
   holds. They end by number or by the clock, which knows nothing of who is ahead.
5. All of that again in new processes, but for the number of steps, and with a short warm-up in place of the check:
   where a process's memory lies in the caches is luck, and it keeps its luck. Where a round of all takes long, it is
   two in the first process and one in each other: another process tells more than another round. Where even so it
   would take too long, it is fewer processes.

Every round begins at the same state, so its evidence is known: the timed steps are checked as well.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Lane, Verdict
from mlp_benchmarks.process import Worker, WorkerError, has_gpu_driver, jax_cache, places


class Job(Protocol):
    """What all contenders of a race do.

    Attributes:
        kind: "module:class" of what a worker loads from the file that `save` writes.
        name: for the progress line.
        least_seconds: how long a round must take for this job, where a call has costs that its steps share.
    """

    kind: ClassVar[str]

    @property
    def least_seconds(self) -> float: ...

    @property
    def name(self) -> str: ...

    def save(self, path: Path) -> None:
        """Write all that a worker needs."""

    def judge(self, entry: Entry, evidence: npt.NDArray[np.float64]) -> Verdict:
        """Whether this is the evidence of the right work; it may be that of fewer steps than are checked."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a race is run.

    Attributes:
        rounds: how often each contender is timed in each process.
        processes: how many processes each contender has, one after the other, if there is time.
        seconds: how long a round takes at least, whatever the job.
        patience: how long a worker may take to answer.
        budget: seconds for the rounds of one job in one process: none begins that would not end within them, but for
            the second in the first process: a single round has no spread.
        most_seconds: of the whole race, for each of its jobs: no other process begins that would not end within them.
    """

    rounds: int = 7
    processes: int = 3
    seconds: float = 0.02
    patience: float = 180.0
    budget: float = 8.0
    most_seconds: float = math.inf


LONG_ENOUGH = 0.25
"""Seconds of a round of who is called for each step. It has no costs of a call that its steps would share: whatever
its job asks for, there is nothing that a longer round would make smaller. Nor need anyone be warmed up for longer."""
SLOW = 2.0
"""Seconds a round. Who takes longer is not timed more often than that: it would use up the rounds of the others."""


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
        self._took: dict[str, float] = {}
        self._ended = False
        self.lanes = [[Lane(name, entry) for name, entry in entries.items()] for _ in jobs]
        self._skip_missing()

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
        for number, job in enumerate(self._jobs):
            if any(lane.racing for lane in self.lanes[number]):
                job.save(self._file(number))
        start = begun = time.monotonic()
        for process in range(self._rules.processes):
            now = time.monotonic()
            if process and 2 * now - begun - start > self._rules.most_seconds * len(self._jobs):
                break  # another one would take about as long as the last
            begun = now
            self._start_workers(process)
            for number in range(len(self._jobs)):
                self.run_job(number, process)
            self._end_workers()

    def run_job(self, number: int, process: int) -> None:
        """Check, tune and time all contenders of one job in the processes that are there."""
        lanes, job = self.lanes[number], self._jobs[number]
        where = f"{job.name}, process {process + 1} of {self._rules.processes}"
        self._progress(f"{where}: check")
        shared = [place for place in self._places for _ in place]  # one worker a processor, whatever its threads
        self._at_once(lanes, lambda lane, worker: self._take_on(lane, worker, number), shared)
        self._progress(f"{where}: warm-up")
        self._at_once(lanes, lambda lane, worker: self._tune(lane, worker, job), self._places)
        for lane in _racing(lanes):
            lane.seconds.append([])
        start, fewest = time.monotonic(), 1 if process else 2
        for count in range(1, self._rules.rounds + 1):
            # As many rounds as begin now, and the next one, if it takes as long as they did on average.
            needed = (time.monotonic() - start) * count / max(1, count - 1)
            if count > fewest and needed > self._rules.budget:
                break
            self._progress(f"{where}: round {count} of {self._rules.rounds}")
            for lane in _racing(lanes):
                if count <= fewest or lane.seconds[-1][-1] < SLOW:
                    self._attempt(lambda lane, worker: self._time(lane, worker, job), lane)

    def _skip_missing(self) -> None:
        for lane in (lane for lanes in self.lanes for lane in lanes):
            if not lane.entry.installed:
                lane.status, lane.reason = "skipped", f"not installed ({lane.entry.install})"
            elif lane.entry.device == "gpu" and not has_gpu_driver():  # starting it to hear that takes seconds
                lane.status, lane.reason = "skipped", "no NVIDIA driver on this machine"

    def _start_workers(self, process: int) -> None:
        self._progress(f"starting, process {process + 1} of {self._rules.processes}")
        needed = {lane.name for lanes in self.lanes for lane in _racing(lanes)}
        for i, name in enumerate(name for name in self._entries if name in needed):
            self._workers[name] = self._start_worker(name, self._places[i % len(self._places)])

    def _start_worker(self, name: str, cpus: Sequence[int]) -> Worker:
        entry = self._entries[name]
        return Worker(
            ["-m", "mlp_benchmarks.worker", entry.path],
            cpus=cpus,
            threads=self._threads,
            patience=self._rules.patience,
            device=entry.device,
            # What the first processes compile, the next ones find; PyTorch and Numba see to that by themselves.
            environment=jax_cache(Path(self._folder.name) / "jax"),
        )

    def _at_once(
        self, lanes: Sequence[Lane], action: Callable[[Lane, Worker], None], slots: Sequence[Sequence[int]]
    ) -> None:
        """Do what is not timed with all contenders, as many side by side as there are slots: processors for each."""
        racing = sorted(_racing(lanes), key=lambda lane: -self._took.get(lane.name, 0.0))
        for lane in racing:
            if lane.name not in self._workers:  # it fell out of an earlier job
                self._workers[lane.name] = self._start_worker(lane.name, self._places[-1])
        waiting = iter(racing)  # one for all slots: who is free takes the next

        def work_off(cpus: Sequence[int]) -> None:
            for lane in waiting:
                if not self._ended:
                    self._workers[lane.name].bind(cpus)
                    self._attempt(action, lane)

        with ThreadPoolExecutor(len(slots)) as pool:
            try:
                list(pool.map(work_off, slots))
            except BaseException:
                self._ended = True
                self._end_workers()  # else the pool would wait for their answers
                raise
        for lane in _racing(lanes):
            self._workers[lane.name].bind(self._places[-1])

    def _take_on(self, lane: Lane, worker: Worker, number: int) -> None:
        """Load the job; in the first process, show the evidence of the first steps."""
        job, start = self._jobs[number], time.monotonic()
        answer = worker.ask({"do": "load", "file": str(self._file(number)), "job": job.kind})
        if "unsuitable" in answer:
            lane.status, lane.reason = "skipped", answer["unsuitable"]
        elif lane.steps:
            # A round that takes long need not be run to its end to be warmed up for.
            share = min(1.0, LONG_ENOUGH / min(lane.seconds[0]))
            question = {"do": "warm_up", "steps": lane.steps, "some": math.ceil(share * lane.steps)}
            self._compare(lane, job, worker.ask(question), "warming up")
        else:
            self._compare(lane, job, worker.ask({"do": "check"}), "")
        self._took[lane.name] = time.monotonic() - start

    def _tune(self, lane: Lane, worker: Worker, job: Job) -> None:
        if not lane.steps:
            least = job.least_seconds if lane.entry.many_steps else min(job.least_seconds, LONG_ENOUGH)
            seconds = max(self._rules.seconds, least)
            worker.ask({"do": "tune", "seconds": seconds})

    def _time(self, lane: Lane, worker: Worker, job: Job) -> None:
        result = worker.ask({"do": "turn"})
        lane.steps = result["steps"]
        self._compare(lane, job, result, "while timed")
        if lane.racing:
            lane.seconds[-1].append(result["seconds"])
            lane.status = "timed"

    def _compare(self, lane: Lane, job: Job, answer: Mapping[str, list[float | None]], when: str) -> None:
        evidence = np.array(answer["evidence"], dtype=np.float64)  # None becomes NaN
        lane.hear(job.judge(lane.entry, evidence), when)

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
