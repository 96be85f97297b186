"""How a worker finds the number of steps of a round, on a clock that is made up."""

from types import SimpleNamespace

import numpy as np
import pytest

from mlp_benchmarks.worker import MOST_STEPS, Rounds


class Recording:
    """A contender that remembers the lengths of the blocks that it ran."""

    def __init__(self, compiles_each_length):
        self.compiles_each_length, self.ran = compiles_each_length, []

    def reset(self):
        pass

    def prepare(self, rows):
        return rows

    def run(self, batches):
        self.ran.append(batches)
        return batches

    def evidence(self, steps):
        return np.arange(float(steps))


@pytest.mark.parametrize(("compiles_each_length", "warmed_up"), [(False, 4), (True, 30)])
def test_a_warm_up_is_short_unless_each_length_must_be_compiled(compiles_each_length, warmed_up):
    rounds = Rounds(Recording)
    rounds._job = SimpleNamespace(batches=lambda steps: steps, evidence_kept=5)
    rounds._contender = Recording(compiles_each_length)
    assert rounds.warm_up(steps=30, some=4) == {"evidence": [0.0, 1.0, 2.0, 3.0, 4.0][:warmed_up]}
    rounds.round()
    assert rounds._contender.ran == [warmed_up, 30]


class MadeUp(Rounds):
    """Steps of equal length, and a compilation for each new length of a block."""

    def __init__(self, step, compiling):
        super().__init__(type(None))
        self._job = SimpleNamespace(steps_checked=50)
        self._contender = SimpleNamespace(compiles_each_length=compiling > 0)
        self.step, self.compiling, self.compiled, self.spent = step, compiling, set(), 0.0
        self._set_steps(50)
        self._estimate = self.round()["seconds"] / 50  # as `check` leaves it
        self.spent = 0.0

    def _set_steps(self, steps):
        self._steps = steps

    def round(self):
        seconds = self._steps * self.step + (0.0 if self._steps in self.compiled else self.compiling)
        self.compiled.add(self._steps)
        self.spent += seconds
        return {"seconds": seconds}


@pytest.mark.parametrize("compiling", [0.0, 0.7, 15.0])
@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("step", [1e-7, 1e-5, 3e-4, 2e-3, 2.5e-2, 0.4])
def test_a_round_takes_as_long_as_it_must_and_little_longer(step, seconds, compiling):
    rounds = MadeUp(step, compiling)
    rounds.tune(seconds)
    steps = rounds.turn()["steps"]
    assert steps * step >= seconds or steps == MOST_STEPS
    assert steps * step <= (2.0 if compiling else 1.5) * seconds + step or steps == 2
    assert steps in rounds.compiled


def test_a_block_of_the_right_length_is_kept():
    rounds = MadeUp(step=2.5e-2, compiling=0.7)
    rounds.tune(1.0)
    assert rounds.spent == pytest.approx(1.25)
    assert rounds.turn()["steps"] == 50


def test_no_other_length_is_compiled_for_half_a_round():
    rounds = MadeUp(step=2.5e-2, compiling=5.0)
    rounds.tune(0.7)
    assert rounds.spent == pytest.approx(1.25)
    assert rounds.turn()["steps"] == 50


def test_what_takes_long_is_not_run_more_often_than_must_be():
    rounds = MadeUp(step=2.5e-2, compiling=0.0)
    rounds.tune(0.3)
    assert rounds.spent == pytest.approx(0.375)


def test_steps_that_take_long_are_not_run_before_their_turn():
    rounds = MadeUp(step=5.0, compiling=0.0)
    rounds.tune(0.3)
    assert rounds.spent == 0.0
    assert rounds.turn() == {"steps": 2, "seconds": 10.0}


def test_a_turn_too_short_is_not_counted():
    rounds = MadeUp(step=1e-3, compiling=0.0)
    rounds._estimate = 5.0  # the first steps were compiling
    rounds.tune(0.3)
    turn = rounds.turn()
    assert 0.3 <= turn["seconds"] <= 0.5
    rounds.spent = 0.0
    assert rounds.turn() == turn
    assert rounds.spent == turn["seconds"]


@pytest.mark.parametrize(("checked", "fewest"), [(50, 2), (1, 1)])
def test_a_round_shows_an_update(checked, fewest):
    rounds = MadeUp(step=5.0, compiling=0.0)
    rounds._job.steps_checked = checked
    rounds.tune(0.3)
    assert rounds.turn()["steps"] == fewest
