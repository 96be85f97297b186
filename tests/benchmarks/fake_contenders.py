"""Contenders that do as they should, and ones that cheat, crash or hang. Workers import this module by name."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlp_benchmarks.contenders import UnsuitableError
from mlp_benchmarks.contenders.ours import Numpy
from mlp_benchmarks.contenders.populations import Numba as Population
from mlp_benchmarks.contenders.products import OpenBlas


class Honest(Numpy):
    """Logs each turn: its name, and when it began and ended."""

    def run(self, batches):
        start = time.monotonic_ns()
        outcome = super().run(batches)
        with Path(os.environ["FAKE_LOG"]).open("a") as log:
            log.write(f"{type(self).__name__} {start} {time.monotonic_ns()} {len(batches[0].lr)}\n")
        return outcome


class AlsoHonest(Honest):
    pass


class CompilesEachLength(Honest):
    """Says that another number of steps is another compilation."""

    compiles_each_length = True


class Meeting(Numpy):
    """Takes no first step before another one like it is about to."""

    met = False

    def run(self, batches):
        log = Path(os.environ["FAKE_LOG"])
        if not self.met:
            with log.open("a") as file:
                file.write(f"{type(self).__name__}\n")
            while len(set(log.read_text().split())) < 2:
                time.sleep(0.01)
        self.met = True
        return super().run(batches)


class AlsoMeeting(Meeting):
    pass


class Talkative(Numpy):
    """Prints where its answers go, as some libraries do."""

    def run(self, batches):
        print("hello from a library")  # noqa: T201
        return super().run(batches)


class ScaledGradient(Numpy):
    """All gradients times 1.0005; for Adam, which makes nothing of their scale, the learning rate."""

    def prepare(self, rows):
        plan, records = super().prepare(rows)
        return replace(plan, lr=plan.lr * 1.0005), records


class OtherOrder(Numpy):
    """The same samples in another order."""

    def prepare(self, rows):
        return super().prepare(rows[::-1].copy())


class LazyWhenTimed(Numpy):
    """Honest while its loss curve is checked, without updates afterwards."""

    calls = 0

    def run(self, batches):
        plan, records = batches
        self.calls += 1
        return super().run((plan if self.calls == 1 else replace(plan, lr=0 * plan.lr), records))


class LazyAndSlow(LazyWhenTimed):
    """The same, and a single step would take as long as a round must."""

    def run(self, batches):
        time.sleep(0.02)
        return super().run(batches)


class SkipsAnUpdate(Numpy):
    """Takes the tenth step for nothing."""

    def prepare(self, rows):
        plan, records = super().prepare(rows)
        plan.lr[9:10] = 0.0
        return plan, records


class OtherData(Numpy):
    """The right rows of other samples."""

    def __init__(self, work):
        super().__init__(replace(work, X=work.X[::-1].copy(), y=work.y[::-1].copy()))


class Sleepy(Numpy):
    """Does all of it, and rests in between."""

    def run(self, batches):
        time.sleep(0.05)
        return super().run(batches)


class NotANumber(Numpy):
    """Loses its losses."""

    def evidence(self, outcome):
        return np.full(len(outcome.losses), np.nan)


class Crashing(Numpy):
    def run(self, batches):
        raise RuntimeError("the framework fell over")


class Dying(Numpy):
    def run(self, batches):
        os._exit(7)


class Hanging(Numpy):
    def run(self, batches):
        time.sleep(600)


class Spinning(Numpy):
    """Leaves a thread that keeps the processor busy."""

    def run(self, batches):
        import threading

        threading.Thread(target=self._spin, daemon=True).start()
        return super().run(batches)

    def _spin(self):
        while True:
            pass


class CrashingOnAdam(Numpy):
    def run(self, batches):
        if self._work.optimizer == "adam":
            raise RuntimeError("no Adam today")
        return super().run(batches)


class Unable(Numpy):
    def __init__(self, work):
        raise UnsuitableError("has no such loss")


class HangingOnAdam(Numpy):
    def run(self, batches):
        if self._work.optimizer == "adam":
            Path(os.environ["FAKE_LOG"]).with_name("hangs").touch()
            time.sleep(600)
        return super().run(batches)


class WrongProduct(OpenBlas):
    """Leaves out the last row."""

    def run(self, steps):
        super().run(steps)
        self._job.out[-1] = 0


class UntrainedPopulation(Population):
    """Gives back losses that nobody had."""

    def evidence(self, outcome):
        return super().evidence(outcome) * 1.001
