"""The race: contenders for one work, checked first, then timed in turns.

1. All workers start, side by side: imports are not timed.
2. One after the other, each shows the losses of its first steps. Who does other work is out.
3. Each finds how many steps take long enough to time.
4. Rounds: A B C A B C ..., one at a time; each starts when the one before rests. What the machine does to one round
   of A it does to B's and C's of that round too, so that their ratio holds.

Every round begins at the injected weights, so its first losses are known: the timed steps are checked as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Literal

import numpy as np

from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.process import Worker, WorkerError, choose_cpus
from mlp_benchmarks.reference import ReferenceMaker
from mlp_benchmarks.work import Work

Status = Literal["waiting", "timed", "wrong", "skipped", "failed"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How a race is run.

    Attributes:
        rounds: how often each contender is timed.
        seconds: how long a round takes at least.
        patience: how long a worker may take to answer.
    """

    rounds: int = 15
    seconds: float = 0.02
    patience: float = 600.0


@dataclass
class Lane:
    """One contender in one race.

    Attributes:
        status: "waiting" until it has been timed; "skipped", "wrong" or "failed" take it out of the race.
        reason: why it is out.
        steps: in a round.
        seconds: of each round so far.
        gap: the largest relative gap between its losses and the reference's, over check and rounds.
        bound: the gap that rounding allows at the last step checked.
    """

    name: str
    entry: Entry
    status: Status = "waiting"
    reason: str = ""
    steps: int = 0
    seconds: list[float] = field(default_factory=list)
    gap: float | None = None
    bound: float | None = None
    worker: Worker | None = None

    @property
    def racing(self) -> bool:
        return self.status in ("waiting", "timed")

    @property
    def microseconds(self) -> list[float]:
        """A step's time in each round."""
        return [1e6 * seconds / self.steps for seconds in self.seconds]


class Race:
    """One work and its contenders; a context manager that leaves no worker behind.

    Args:
        work: what all of them do.
        entries: the contenders by name.
        rules: how the race is run.
        progress: is told what is going on, in a few words.

    Attributes:
        lanes: the contenders, with what is known so far: it can be read after an interrupt.
    """

    def __init__(
        self, work: Work, entries: Mapping[str, Entry], rules: Rules, *, progress: Callable[[str], None]
    ) -> None:
        self._work, self._rules, self._progress = work, rules, progress
        self._references: ReferenceMaker | None = None
        self._folder = TemporaryDirectory(prefix="mlp-bench-")
        self.lanes = [Lane(name, entry) for name, entry in entries.items()]

    def __enter__(self) -> "Race":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self.lanes:
            self._retire(lane)
        self._folder.cleanup()

    def run(self) -> None:
        """Start, check, tune and time them all."""
        self._start()
        for action in (self._check, self._tune):
            for lane in self._racing():
                self._attempt(action, lane)
        for number in range(1, self._rules.rounds + 1):
            self._progress(f"round {number} of {self._rules.rounds}")
            for lane in self._racing():
                self._attempt(self._time, lane)

    def _racing(self) -> list[Lane]:
        return [lane for lane in self.lanes if lane.racing]

    def _start(self) -> None:
        for lane in self.lanes:
            if lane.entry.package and find_spec(lane.entry.package) is None:
                lane.status, lane.reason = "skipped", f"not installed ({lane.entry.install})"
        if not self._racing():
            return
        self._progress("reference curve")
        self._references = ReferenceMaker(self._work)
        self._progress("starting")
        file = Path(self._folder.name) / "work.npz"
        self._work.save(file)
        cpus = choose_cpus(self._work.threads)
        for lane in self._racing():
            arguments = ["-m", "mlp_benchmarks.worker", lane.entry.path, str(file)]
            lane.worker = Worker(arguments, cpus=cpus, patience=self._rules.patience)
        for lane in self._racing():
            self._attempt(self._greet, lane)

    def _greet(self, lane: Lane, worker: Worker) -> None:
        greeting = worker.answer()
        if "unsuitable" in greeting:
            lane.status, lane.reason = "skipped", greeting["unsuitable"]

    def _check(self, lane: Lane, worker: Worker) -> None:
        self._progress(f"{lane.name}: loss curve")
        self._compare(lane, worker.ask({"do": "check"})["losses"], "the losses")

    def _tune(self, lane: Lane, worker: Worker) -> None:
        self._progress(f"{lane.name}: warm-up")
        lane.steps = worker.ask({"do": "tune", "seconds": self._rules.seconds})["steps"]
        worker.wait_until_it_rests()

    def _time(self, lane: Lane, worker: Worker) -> None:
        result = worker.ask({"do": "round"})
        self._compare(lane, result["losses"], "the losses while timed")
        if lane.racing:
            lane.seconds.append(result["seconds"])
            lane.status = "timed"
            worker.wait_until_it_rests()

    def _compare(self, lane: Lane, answered: list[float | None], what: str) -> None:
        assert self._references is not None
        reference = self._references.get(lane.entry.adam_form)
        losses = np.array(answered, dtype=np.float64)  # None becomes NaN
        gap = reference.gap(losses)
        # NaN, which nothing exceeds, must stay.
        lane.gap = gap if lane.gap is None or not gap <= lane.gap else lane.gap
        lane.bound = max(lane.bound or 0.0, float(reference.bound[len(losses) - 1]))
        if (step := reference.first_refused(losses)) is not None:
            lane.status = "wrong"
            lane.reason = f"{what} leave the float64 curve at step {step} by more than rounding explains"
            lane.seconds.clear()

    def _attempt(self, action: Callable[[Lane, Worker], None], lane: Lane) -> None:
        """Do something with a contender; whatever becomes of it, the others go on."""
        assert lane.worker is not None
        try:
            action(lane, lane.worker)
        except WorkerError as error:
            lane.status, lane.reason = "failed", str(error)
        if not lane.racing:
            self._retire(lane)

    def _retire(self, lane: Lane) -> None:
        if lane.worker is not None:
            lane.worker.end()
            lane.worker = None
