"""The process that a contender lives in: `python -m mlp_benchmarks.worker PATH`.

Its parent has bound it to its processors and set its thread counts. It answers one question at a time, in lines of
JSON on standard input and output:

    {"do": "load", "file": f,        {"loaded": true}, or {"unsuitable": why}
     "job": path of the job's class}
    {"do": "check"}                  {"evidence": [...]}, of the first steps
    {"do": "tune", "seconds": s}     {"tuned": true}: a round takes at least so long from now on
    {"do": "warm_up", "steps": n,    {"evidence": [...]}, of some steps that are not timed; then a round has n
     "some": k}
    {"do": "turn"}                   {"steps": n, "seconds": s, "evidence": [...]}, a round's number of steps, the time
                                     of all of them, and the evidence of the first

A step is a training step, or a matrix product; its evidence is a number that shows what was done, such as the loss.
The process ends when its input does, and so never outlives the parent; on Linux the kernel ends it with its parent
even while it is parked.
"""

import ctypes
import gc
import json
import math
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

from mlp_benchmarks.contenders import Contender, UnsuitableError

MOST_STEPS = 20_000
"""A round has no more: row numbers and losses would outgrow the caches that the contender should have."""
LONG = 0.25
"""Seconds of a step, from which on the first ones are taken to tell how long all take."""


class Rounds:
    """A contender, the job that it has, and the block of steps that is timed."""

    def __init__(self, contender: type[Contender]) -> None:
        self._class = contender
        self._contender: Contender | None = None
        self._steps, self._batches = 0, None
        self._estimate = 0.0  # seconds a step
        self._expected = 0.0  # seconds of a round, as long as none has shown whether it takes them

    def load(self, file: str, job: str) -> dict[str, Any]:
        """Take on a job, in place of the one before."""
        self._contender = self._batches = None
        gc.unfreeze()
        gc.collect()
        self._job = find(job).load(Path(file))
        try:
            self._contender = self._class(self._job)
        except UnsuitableError as reason:
            return {"unsuitable": str(reason)}
        return {"loaded": True}

    def check(self) -> dict[str, Any]:
        """The evidence of the first steps, which are also what compiles and warms up."""
        self._set_steps(self._job.steps_checked)
        first = self.round()
        self._estimate = first["seconds"] / self._steps
        gc.freeze()  # what the framework made while it loaded need not be looked through before every round
        return {"evidence": first["evidence"]}

    def tune(self, seconds: float) -> dict[str, Any]:
        """Choose about the fewest steps that take `seconds`; two at least, where two can be checked.

        The loss of a step is that before its update: a round of one step would not show that it made one.
        """
        if self._estimate >= LONG and self._estimate * self._fewest >= seconds and not self._compiles_each_length:
            # To make sure would take as long as a turn: the first one will show it.
            self._expected = seconds
            self._set_steps(self._fewest)
        else:
            self._search(seconds)
        return {"tuned": True}

    def turn(self) -> dict[str, Any]:
        """A round that counts."""
        result = self.round()
        if result["seconds"] < self._expected:  # the first steps were compiling
            self._search(self._expected)
            result = self.round()
        self._expected = 0.0
        return {"steps": self._steps} | result

    def _search(self, seconds: float) -> None:
        """Run blocks until one takes `seconds`."""
        compiling = self._compiles_each_length
        # The first round was compiling. Where that is so of each new length, a step's share in it says nothing, and a
        # round that takes somewhat long costs less than another length.
        if compiling or self._estimate * self._steps < 3 * seconds:
            taken = self.round()["seconds"]
            if seconds <= taken <= (2.0 if compiling else 1.5) * seconds:
                return
            self._estimate = taken / self._steps
        while True:
            self._set_steps(self._enough(seconds))
            taken = self.round()["seconds"]
            if taken > 2 * seconds and (self._steps > self._fewest or compiling):
                taken = self.round()["seconds"]
            if taken >= seconds or self._steps == MOST_STEPS:
                return
            # At least half as many again, so that a slow first guess can't make this go on for long.
            self._estimate = min(taken, seconds / 1.25) / self._steps

    @property
    def _fewest(self) -> int:
        return min(2, self._job.steps_checked)

    def _enough(self, seconds: float) -> int:
        """Steps that take so long by the estimate, and some more."""
        return max(self._fewest, min(MOST_STEPS, int(1.2 * seconds / self._estimate) + 1))

    def warm_up(self, steps: int, some: int) -> dict[str, Any]:
        """Get ready for rounds of so many steps by taking some, or all, if only that compiles what they need."""
        self._set_steps(steps if self._compiles_each_length else some)
        evidence = self.round()["evidence"]
        self._set_steps(steps)
        return {"evidence": evidence}

    def round(self) -> dict[str, Any]:
        """Time the block, from the job's beginning on: every round does, and shows that it does, the same work."""
        contender = self._contender
        assert contender is not None
        contender.reset()
        gc.collect()
        gc.disable()  # as `timeit` does: a collection is not a step's cost
        try:
            # A GPU's own clock, where the contender has one; else the wall's.
            stopwatch = getattr(contender, "stopwatch", WallClock)()
            stopwatch.start()
            outcome = contender.run(self._batches)
            seconds = stopwatch.stop()
        finally:
            gc.enable()
        evidence = contender.evidence(outcome)[: self._job.evidence_kept]
        # JSON has no NaN; null says that there is no number.
        return {"seconds": seconds, "evidence": [x if math.isfinite(x) else None for x in evidence.tolist()]}

    @property
    def _compiles_each_length(self) -> bool:
        return getattr(self._contender, "compiles_each_length", False)

    def _set_steps(self, steps: int) -> None:
        assert self._contender is not None
        self._steps, self._batches = steps, self._contender.prepare(self._job.batches(steps))


class WallClock:
    """What `run` takes, as seen from outside."""

    def start(self) -> None:
        self._start = perf_counter()

    def stop(self) -> float:
        return perf_counter() - self._start


def find(path: str) -> Any:
    """The object that "module:name" names.

    >>> find("math:pi")
    3.14...
    """
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def main() -> None:
    """Load the contender and answer questions until there are no more."""
    _end_with_the_parent()
    answers = claim_stdout()

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    rounds = Rounds(find(sys.argv[1]))
    for line in sys.stdin:
        question = json.loads(line)
        answer(getattr(rounds, question.pop("do"))(**question))


def claim_stdout() -> TextIO:
    """Standard output for answers alone: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _end_with_the_parent() -> None:
    """Be killed when the parent dies: a parked process would not see that its input has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main()
