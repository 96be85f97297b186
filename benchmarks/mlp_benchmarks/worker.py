"""The process that a contender lives in: `python -m mlp_benchmarks.worker PATH WORK.npz`.

Its parent has bound it to its processors and set its thread counts. It answers one question at a time, in lines of
JSON on standard input and output:

    it starts                  {"ready": true}, or {"unsuitable": why}
    {"do": "check"}            {"losses": [...]}, of the first steps
    {"do": "tune",             {"steps": n}, a round of which takes at least so long
     "seconds": s}
    {"do": "round"}            {"seconds": s, "losses": [...]}, of all its steps and of the first of them

It ends when its input does, and so never outlives the parent.
"""

import gc
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

from mlp_benchmarks.contenders import Contender, UnsuitableError
from mlp_benchmarks.reference import STEPS_CHECKED
from mlp_benchmarks.work import Work

MOST_STEPS = 20_000
"""A round has no more: row numbers and losses would outgrow the caches that the contender should have."""


class Rounds:
    """A contender, the work, and the block of steps that is timed."""

    def __init__(self, contender: Contender, work: Work) -> None:
        self._contender, self._work = contender, work
        self._steps, self._batches = 0, None
        self._estimate = 0.0  # seconds a step

    def check(self) -> dict[str, Any]:
        """The losses of the first steps, which are also what compiles and warms up."""
        self._set_steps(STEPS_CHECKED)
        first = self.round()
        self._estimate = first["seconds"] / STEPS_CHECKED
        gc.freeze()  # what the framework made while it loaded need not be looked through before every round
        return {"losses": first["losses"]}

    def tune(self, seconds: float) -> dict[str, Any]:
        """Choose about the fewest steps that take `seconds`, and run them."""
        while True:
            self._set_steps(min(MOST_STEPS, int(1.2 * seconds / self._estimate) + 1))
            self.round()  # a block of another length may be another compilation
            taken = self.round()["seconds"]
            if taken >= seconds or self._steps == MOST_STEPS:
                return {"steps": self._steps}
            # At least twice as many, so that a slow first guess can't make this go on for long.
            self._estimate = min(taken, seconds / 2) / self._steps

    def round(self) -> dict[str, Any]:
        """Time the block, from the injected weights on: every round does, and shows that it does, the same work."""
        self._contender.reset()
        gc.collect()
        gc.disable()  # as `timeit` does: a collection is not a step's cost
        try:
            start = perf_counter()
            outcome = self._contender.run(self._batches)
            taken = perf_counter() - start
        finally:
            gc.enable()
        losses = self._contender.losses(outcome)[:STEPS_CHECKED]
        # JSON has no NaN; null says that there is no number.
        return {"seconds": taken, "losses": [loss if loss == loss else None for loss in losses.tolist()]}

    def _set_steps(self, steps: int) -> None:
        self._steps, self._batches = steps, self._contender.prepare(self._work.rows(steps))


def main() -> None:
    """Make the contender and answer questions until there are no more."""
    path, work_file = sys.argv[1:]
    answers = _claim_stdout()

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    work = Work.load(Path(work_file))
    module, _, name = path.partition(":")
    try:
        rounds = Rounds(getattr(import_module(module), name)(work), work)
    except UnsuitableError as reason:
        answer({"unsuitable": str(reason)})
        return
    answer({"ready": True})
    for line in sys.stdin:
        question = json.loads(line)
        answer(getattr(rounds, question.pop("do"))(**question))


def _claim_stdout() -> TextIO:
    """Standard output for answers alone: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
