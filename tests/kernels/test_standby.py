"""Threads that stand by: all parts are done when the call ends, whatever goes wrong and whoever else calls."""

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import njit

from mlp_kernels.cpu import gemm as gemm_module
from mlp_kernels.cpu import standby
from mlp_kernels.cpu import threads as meeting_threads
from mlp_kernels.cpu.gemm import gemm
from mlp_kernels.cpu.memory import pointer_to
from mlp_kernels.cpu.standby import at_once

QUESTIONS = [np.random.default_rng(seed).standard_normal((90, 90)) for seed in range(8)]


@pytest.fixture(autouse=True)
def threads_for_any_product(monkeypatch):
    monkeypatch.setattr(gemm_module, "LEAST_WORK", 0)
    at_once([bool, bool])  # what compiles or loads now makes nobody wait later, by which a fault could hide


def test_the_first_part_runs_here_and_the_others_elsewhere_at_the_same_time():
    together, seen = threading.Barrier(3, timeout=20), []

    def part():
        together.wait()  # breaks unless all three are there
        seen.append(threading.get_ident())

    at_once([part] * 3)
    assert len(set(seen)) == 3
    assert threading.get_ident() in seen


def test_threads_are_used_again_as_soon_as_their_caller_knows(monkeypatch):
    tell = standby._tell_and_listen

    def tell_and_rest(meeting, bell):
        tell(meeting, bell)
        time.sleep(0.02)

    monkeypatch.setattr(standby, "_tell_and_listen", tell_and_rest)
    before = threading.active_count()
    for _ in range(5):
        at_once([bool, bool])
    assert threading.active_count() == before


@njit(nogil=True)
def listen(counter, heard, looks):
    meeting_threads.listen(pointer_to(counter), heard, looks)


def test_who_listens_stops_when_the_bell_has_rung_or_by_itself():
    bell = np.full(1, 7)
    listen(bell, 6, 2**62)  # it has rung since
    listen(bell, 7, 1000)
    waiting = threading.Thread(target=listen, args=(bell, 7, 2**62), daemon=True)
    waiting.start()
    standby.ring(bell)
    waiting.join(60)
    assert not waiting.is_alive()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_product_of_several_parts_rings_the_bell(count):
    heard = standby.BELL.copy()
    gemm(QUESTIONS[0], QUESTIONS[0], threads=count)
    assert (heard < standby.BELL) == (count > 1)


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_arrives_when_no_part_is_running_any_more(failing):
    done = []

    def part(number):
        if number == failing:
            raise ValueError(f"part {number}")
        time.sleep(0.05)
        done.append(number)

    with pytest.raises(ValueError, match=f"part {failing}"):
        at_once([lambda number=number: part(number) for number in range(3)])
    assert sorted(done) == [number for number in range(3) if number != failing]
    at_once([lambda: done.append("later")] * 2)  # who has failed goes on standing by
    assert done[2:] == ["later", "later"]


def test_a_thread_that_cannot_be_started_leaves_none_running(monkeypatch):
    helper, done = standby._helper, []

    def only_one():
        if done:
            raise RuntimeError("can't start new thread")
        done.append("started")
        return helper()

    def part():
        time.sleep(0.05)
        done.append("ended")

    monkeypatch.setattr(standby, "_helper", only_one)
    with pytest.raises(RuntimeError, match="start"):
        at_once([part] * 3)
    assert done == ["started", "ended"]


def test_several_callers_get_what_each_has_asked_for():
    expected = [gemm(a, a) for a in QUESTIONS]

    def ask(number):
        return all(np.array_equal(gemm(QUESTIONS[number], QUESTIONS[number], threads=3), expected[number])
                   for _ in range(50))  # fmt: skip

    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        assert all(pool.map(ask, range(len(QUESTIONS))))


def multiply_in_a_child(answers):
    answers.put(gemm(QUESTIONS[0], QUESTIONS[0], threads=2))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_a_fork_has_threads_of_its_own():
    expected = gemm(QUESTIONS[0], QUESTIONS[0], threads=2)  # here, there are helpers now
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=multiply_in_a_child, args=(answers,), daemon=True)
    child.start()
    assert np.array_equal(answers.get(timeout=60), expected)
    child.join(60)
    assert child.exitcode == 0
