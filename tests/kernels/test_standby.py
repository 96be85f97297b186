"""Threads that stand by: all parts are done once when the call ends, whoever sleeps and whoever else calls."""

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from numba import njit

from mlp_kernels.cpu import gemm as gemm_module
from mlp_kernels.cpu import standby
from mlp_kernels.cpu.gemm import gemm
from mlp_kernels.cpu.memory import load, pointer_at, pointer_to, start_of, store
from mlp_kernels.cpu.native import address_of, call
from mlp_kernels.cpu.standby import ASLEEP, BUSY, FREE, PART, Helpers
from mlp_kernels.cpu.threads import exchange, look, offer_core

QUESTIONS = [np.random.default_rng(seed).standard_normal((90, 90)) for seed in range(8)]
PATIENCE = 10_000_000  # looks: some seconds


@pytest.fixture(autouse=True)
def threads_for_any_product(monkeypatch):
    monkeypatch.setattr(gemm_module, "LEAST_WORK", 0)


def count_up(words, part):
    """How often each part was done."""
    store(words, part, load(words, part) + 1)


def come_together(words, part):
    """Wait for the others; the first word counts who has come, the others say who has seen all of them."""
    come, everyone = words, load(words, 1)
    arrived = look(come)
    while not exchange(come, arrived, arrived + 1):
        arrived = look(come)
    for _ in range(PATIENCE):
        if look(come) == everyone:
            store(words, 2 + part, 1)
            break
        offer_core()


def take_long(words, part):
    for _ in range(20_000):
        offer_core()
    store(words, part, 1)


@cache
def code(function):
    return address_of(function, PART, function.__name__, False)


@njit(nogil=True)
def begin(boards, function, words):
    """Hand out, and return when the first helper is at work."""
    standby.hand_out(boards, function, start_of(words))
    for _ in range(PATIENCE):
        if look(pointer_at(boards[0], np.int64)) == BUSY:
            return True
        offer_core()
    return False


@njit(nogil=True)
def run(boards, function, words):
    standby.hand_out(boards, function, start_of(words))
    call(function, (pointer_to(words), 0))
    standby.take_back(boards)


def at_once(function, parts, words):
    address = code(function)  # compiled before, or they would fall asleep meanwhile
    with Helpers(parts - 1) as boards:
        run(boards, address, words)


def a_helper_works():
    """Whether one has begun its part before it is taken back, and ended it before that returns."""
    address, words, began = code(take_long), np.zeros(2, np.int64), False
    with Helpers(0) as boards:
        run(boards, address, words)  # compiled now, or the helper would fall asleep meanwhile
    for _ in range(2):  # the first time, `begin` is compiled
        words[:] = 0
        with Helpers(1) as boards:
            began = begin(boards, address, words)
            standby.take_back(boards)
            assert words[1] == 1
    return began


def state(helper):
    return helper.board[standby._STATE]


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_each_part_is_done_once(parts):
    for calls in range(1, 300):
        done = np.zeros(parts, np.int64)
        at_once(count_up, parts, done)
        np.testing.assert_array_equal(done, 1)
        if calls % 100 == 0:
            time.sleep(0.01)  # they fall asleep


def test_the_parts_run_at_the_same_time():
    def all_saw_all():
        words = np.array([0, 3, 0, 0, 0])
        at_once(come_together, 3, words)
        return (words[2:] == 1).all()

    at_once(count_up, 3, np.zeros(3, np.int64))  # they listen now
    assert all_saw_all()


def test_threads_are_used_again():
    at_once(count_up, 4, np.zeros(4, np.int64))
    before = threading.active_count()
    for _ in range(20):
        at_once(count_up, 4, np.zeros(4, np.int64))
    assert threading.active_count() == before


@pytest.mark.parametrize("board", [ASLEEP, FREE], ids=["asleep", "still waking up"])
def test_nobody_waits_for_a_thread_that_does_not_come(board, monkeypatch):
    monkeypatch.setattr(standby, "_idle", [])
    monkeypatch.setattr(standby._Helper, "wake", lambda helper: helper.board.__setitem__(standby._STATE, board))
    for _ in range(3):
        done = np.zeros(3, np.int64)
        at_once(count_up, 3, done)
        np.testing.assert_array_equal(done, 1)
        assert [state(helper) for helper in standby._idle] == [board, board]


def test_what_is_begun_is_waited_for():
    assert a_helper_works()


def test_who_is_not_needed_falls_asleep_and_is_woken_again(monkeypatch):
    helper = standby._Helper()
    monkeypatch.setattr(standby, "_idle", [helper])
    for _ in range(5):
        wait_until(lambda: state(helper) == ASLEEP)
        assert a_helper_works()


def test_who_has_done_a_part_listens_for_more(monkeypatch):
    assert a_helper_works()
    monkeypatch.setattr(standby, "LOOKS", 100_000)  # 50 ms
    helper, address, words = standby._Helper(), code(take_long), np.zeros(2, np.int64)
    monkeypatch.setattr(standby, "_idle", [helper])
    with Helpers(1) as boards:
        for _ in range(3):
            assert begin(boards, address, words)
            standby.take_back(boards)


def test_an_interrupt_on_the_way_to_the_bell_leaves_nobody_asleep_for_ever(monkeypatch):
    class Interrupting:
        def put(self, _item):
            raise KeyboardInterrupt

    helper = standby._Helper()
    bell = helper._bell
    monkeypatch.setattr(helper, "_bell", Interrupting())
    monkeypatch.setattr(standby, "_idle", [helper])
    with pytest.raises(KeyboardInterrupt), Helpers(1):
        pass
    assert standby._idle == [helper]
    monkeypatch.setattr(helper, "_bell", bell)
    assert a_helper_works()


def test_a_thread_that_cannot_be_started_is_said_and_the_others_stay(monkeypatch):
    class Unstartable(standby._Helper):
        def __init__(self):
            raise RuntimeError("can't start new thread")

    helper = standby._Helper()
    monkeypatch.setattr(standby, "_idle", [helper])
    monkeypatch.setattr(standby, "_Helper", Unstartable)
    with pytest.raises(RuntimeError, match="start"):
        gemm(QUESTIONS[0], QUESTIONS[0], threads=3)
    assert standby._idle == [helper]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_product_is_handed_out_to_as_many_as_there_are_threads(count, monkeypatch):
    asked = []
    monkeypatch.setattr(gemm_module, "Helpers", lambda number: asked.append(number) or Helpers(number))
    gemm(QUESTIONS[0], QUESTIONS[0], threads=count)
    assert asked == ([count - 1] if count > 1 else [])


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
