"""One contender with one job: how far it has come, and what is known of it."""

from dataclasses import dataclass, field
from typing import Literal

from mlp_benchmarks.contenders import Entry

Status = Literal["waiting", "timed", "wrong", "skipped", "failed"]


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

    def hear(self, verdict: Verdict, when: str) -> None:
        """Take note of a verdict; one that finds a fault takes it out of the race, and its times with it."""
        # NaN, which nothing exceeds, must stay.
        self.gap = verdict.gap if self.gap is None or not verdict.gap <= self.gap else self.gap
        self.bound = max(self.bound or 0.0, verdict.bound)
        if verdict.fault:
            self.status = "wrong"
            self.reason = f"{when}: {verdict.fault}" if when else verdict.fault
            self.seconds.clear()
