"""How many threads take the steps of a fit: as many as have turned out to be fast, here and now."""

from collections import Counter

import pytest

from mlp_scratch.backends import numba_cores, numba_pace, numba_run
from mlp_scratch.backends.numba_pace import Pace
from tests.backends.fits import digest


def run(pace, seconds_a_step, seconds):
    """Take steps for so many seconds of a clock that only they move; returns how many each number of threads had."""
    spent = Counter()
    while spent.total() < seconds:
        steps, threads = pace.next_call()
        spent[threads] += steps * seconds_a_step[threads]
        pace.learn(steps, threads, steps * seconds_a_step[threads])
    return spent


@pytest.mark.parametrize("fastest", [1, 2, 4, 8])
def test_the_fastest_number_of_threads_is_found(fastest):
    seconds_a_step = {n: 1e-4 * max(n / fastest, fastest / n) for n in (1, 2, 4, 8)}
    pace = Pace(8)
    run(pace, seconds_a_step, 10.0)
    assert pace.threads == fastest
    spent = run(pace, seconds_a_step, 10.0)
    assert pace.threads == fastest
    assert spent[fastest] > 0.95 * spent.total(), "trials cost little"


def test_what_becomes_slow_is_left_again():
    """As when another process comes, and goes."""
    pace, free, taken = Pace(2), {1: 1e-4, 2: 6e-5}, {1: 1e-4, 2: 5e-4}
    for costs, best in [(free, 2), (taken, 1), (free, 2), (taken, 1)]:
        run(pace, costs, 5.0)
        assert pace.threads == best


def test_what_the_first_call_compiles_says_nothing_of_a_step():
    pace = Pace(2)
    pace.learn(*pace.next_call(), 10.0)
    spent = run(pace, {1: 1e-4, 2: 6e-5}, 2.0)
    assert spent[2] > 0.95 * spent.total()


def test_what_is_hardly_faster_is_not_worth_a_change():
    spent = run(Pace(2), {1: 0.95e-4, 2: 1e-4}, 20.0)
    assert spent[2] > 0.95 * spent.total()


@pytest.mark.parametrize(("most", "seconds_a_step"), [(1, 1e-4), (2, 0.02)])
def test_nothing_is_tried_on_one_thread_nor_where_a_step_takes_long(most, seconds_a_step):
    spent = run(Pace(most), {most: seconds_a_step}, 20.0)
    assert list(spent) == [most]


def test_a_call_that_was_cut_short_is_no_reason_to_take_more_steps():
    pace = Pace(1)
    run(pace, {1: 1e-3}, 1.0)
    assert pace.steps == 50
    pace.learn(3, 1, 1e-6)
    assert pace.steps == 50
    pace.learn(3, 1, 3.0)
    assert pace.steps == 1


def test_the_bits_are_those_of_one_thread_however_many_take_the_steps(monkeypatch):
    expected, used = digest(threads=1, epochs=20), Counter()
    on_threads = numba_run.on_threads
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 3)
    monkeypatch.setattr(numba_pace, "SECONDS_BETWEEN_TRIALS", 0.0)
    monkeypatch.setattr(Pace, "learn", lambda pace, *call: setattr(pace, "steps", 10))
    monkeypatch.setattr(numba_run, "on_threads", lambda *call: used.update([call[1]]) or on_threads(*call))
    assert digest(threads=3, epochs=20) == expected
    assert set(used) == {2, 3}
