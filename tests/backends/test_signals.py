"""Signals that come while the compiled code runs: a handler may raise whatever it likes, wherever it likes."""

import os
import signal
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from numba import njit

import mlp_scratch as ms
from mlp_kernels.cpu.compilers import KernelCompiler
from mlp_kernels.cpu.memory import pointer_to
from mlp_kernels.cpu.threads import meet
from mlp_scratch.backends import numba_code, numba_run, numba_tables
from mlp_scratch.backends.numba_calls import on_threads, out_of_reach, share_out
from tests.backends.fits import all_in_place

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no signals of a user's own")


class TooLongError(Exception):
    """What a handler raises."""


@pytest.fixture
def send():
    """Send this process a signal whose handler raises."""

    def handle(_number, _frame):
        raise TooLongError

    before = signal.signal(signal.SIGUSR1, handle)
    yield lambda: os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


@njit(nogil=True)
def attend(board, threads):
    """Come to a meeting, and to another one."""
    return meet(pointer_to(board), meet(pointer_to(board), 1, threads), threads)


@pytest.mark.parametrize("when", ["loaded", "under way", "saved"])
def test_a_network_in_panels_is_turned_back(when, send, monkeypatch):
    """Weights that are trained in the model's own vectors lie in another order meanwhile."""
    X, y = np.random.default_rng(3).normal(size=(200, 16)).astype("float32"), np.arange(200) % 3
    options = {"optimizer": "adam", "batch_size": 10, "shuffle": False, "epochs": 1, "backend": "numba"}
    method = {"loaded": "load", "under way": "advance", "saved": "_move"}[when]
    call = getattr(numba_run.CompiledRun, method)

    def call_and_send(run, *arguments, **named):
        result = call(run, *arguments, **named)
        if when != "saved" or named["back"]:
            send()
        return result

    model, reference = (ms.MLP([16, 64, 64, 3], seed=9) for _ in range(2))
    with all_in_place(), monkeypatch.context() as patch:
        patch.setattr(numba_run.CompiledRun, method, call_and_send)
        with pytest.raises(TooLongError):
            model.fit(X, y, progress=False, **options)
    taken = model.training.step
    if taken:
        reference.fit(X[: 10 * taken], y[: 10 * taken], progress=False, **options)
    assert np.array_equal(model.flat, reference.flat)
    assert np.isfinite(model.history.losses).all()
    assert len(model.history.losses) == taken


@pytest.mark.parametrize("in_place", [False, True])
def test_ctrl_c_is_looked_for_before_each_function_that_a_fit_compiles(in_place, monkeypatch):
    X, y = np.random.default_rng(3).normal(size=(60, 4)).astype("float32"), np.arange(60) % 3
    model = ms.Sequential([ms.Dense(4, 5), ms.Tanh(), ms.Dense(5, 3)], seed=9)
    before, later = model.flat.copy(), []
    options = {"epochs": 1, "batch_size": 10, "backend": "numba", "progress": False}

    def press(layer, tile):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(50):  # the handler runs on the main thread, where this may not be
            njit(pipeline_class=KernelCompiler)(lambda x: x + 1.0)(2.0)
        later.append("compiled after all")
        return numba_code.forward_code(layer, tile)

    with all_in_place() if in_place else nullcontext():
        with monkeypatch.context() as patch:
            patch.setattr(numba_tables, "forward_code", press)
            with pytest.raises(KeyboardInterrupt):
                model.fit(X, y, **options)
        assert not later
        assert np.array_equal(model.flat, before)
        assert (model.training.step, len(model.history.losses), model.history.stopped) == (0, 0, "interrupted")
        model.fit(X, y, **options)
    assert model.training.step == 6


def test_nobody_waits_for_a_thread_that_an_error_keeps_away():
    before = threading.active_count()

    def work(thread, threads):
        if thread == 0:
            raise KeyboardInterrupt
        attend(memory.board, threads)

    memory = SimpleNamespace(board=np.zeros(8, np.int64))
    attend(memory.board, 1)  # compiled
    with pytest.raises(KeyboardInterrupt):
        on_threads(work, 3, memory)
    assert threading.active_count() == before


@pytest.mark.parametrize("share", [share_out, lambda work, n: on_threads(work, n, SimpleNamespace(board=np.zeros(8)))])
def test_what_is_shared_out_ends_before_the_error_comes_out(share):
    """It may write to memory that is about to be used for something else."""
    ended, gate = [], threading.Event()

    def work(thread, _threads):
        if thread == 0:
            threading.Timer(0.05, gate.set).start()
            raise KeyboardInterrupt
        gate.wait()
        ended.append(thread)

    with pytest.raises(KeyboardInterrupt):
        share(work, 3)
    assert sorted(ended) == [1, 2]


def test_an_error_of_what_is_out_of_reach_comes_out():
    with pytest.raises(ZeroDivisionError):
        out_of_reach(lambda _is_broken_off: 1 / 0)


def test_what_is_out_of_reach_learns_of_the_error_and_ends_first(send):
    told = []

    def work(is_broken_off):
        send()
        while not is_broken_off():
            pass
        told.append(is_broken_off())

    with pytest.raises(TooLongError):
        out_of_reach(work)
    assert told == [True]
