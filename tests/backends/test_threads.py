"""Threads of the compiled backend: as many as allowed, the same bits for any number, none left, wherever it runs."""

import multiprocessing
import os
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path
from time import sleep
from types import SimpleNamespace

import numpy as np
import pytest

from mlp_scratch.backends import numba as compiled
from mlp_scratch.backends import numba_cores, numba_pace, numba_run
from mlp_scratch.backends.numba_calls import on_threads, share_out
from tests.backends.fits import digest, few_startable

ROOT = Path(__file__).parents[2]
WORKERS = 2
needs_affinity = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system sets no affinity")
needs_two_cores = pytest.mark.skipif(numba_cores.usable_threads() < 2, reason="two cores are needed")


@pytest.fixture(scope="module")
def expected():
    """What one thread learns."""
    return digest(threads=1)


def alone(code, *, cores=None, **environment):
    """What `code` prints in a process of its own, bound to its first so many cores."""
    bind = f"import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])\n" if cores else ""
    setup = f"{bind}from tests.backends import fits\nfrom mlp_scratch.backends import numba_cores\n"
    command = [sys.executable, "-c", setup + code]
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_two_cores
def test_two_threads_are_used_where_they_may_be_and_give_the_same_sha_256(expected):
    assert alone("print(fits.widest(), fits.digest())") == [str(numba_cores.usable_threads()), expected]


@needs_two_cores
def test_threads_share_the_layout_of_much_that_is_learned(expected):
    """Here of as little as a fit that is quick has: what they bring into panels and back has the same bits."""
    assert alone(
        "from mlp_scratch.backends import numba_run\nnumba_run.NUMBERS_FOR_THREADS = 0\nprint(fits.digest())"
    ) == [expected]


@needs_affinity
def test_the_affinity_mask_is_the_limit(expected):
    assert alone("print(fits.widest(), fits.digest())", cores=1) == ["1", expected]


def test_numba_num_threads_is_the_limit(expected):
    assert alone("print(fits.widest(), fits.digest())", NUMBA_NUM_THREADS="1") == ["1", expected]


def test_the_argument_is_the_limit():
    assert alone("print(fits.widest(threads=1))") == ["1"]


@needs_affinity
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_that_share_one_core_finish_with_the_same_bits(threads, expected):
    """A thread that waits for one it shares its core with must let it run."""
    code = f"numba_cores.usable_cores = lambda: {threads}\nprint(fits.widest(), fits.digest())"
    assert alone(code, cores=1) == [str(threads), expected]


@pytest.mark.parametrize("startable", [0, 1])
def test_as_many_threads_as_can_be_started(startable, expected, monkeypatch):
    """None of them waits for one that is not there."""
    before = threading.active_count()
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 3)
    with few_startable(startable):
        assert digest(threads=3) == expected
    assert threading.active_count() == before


def test_an_error_while_threads_are_started_leaves_none_of_them(monkeypatch):
    start, asked = threading.Thread.start, count()

    def start_one(thread):
        if next(asked):
            raise KeyboardInterrupt
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    before, done = threading.active_count(), []
    with pytest.raises(KeyboardInterrupt):
        on_threads(lambda *which: done.append(which), 3, SimpleNamespace(board=np.ones(1)))
    while threading.active_count() > before:
        sleep(0.001)
    assert done == []


def test_what_no_thread_can_be_started_for_is_done_here():
    done = []
    with few_startable(0):
        share_out(lambda thread, threads: done.append((thread, threads)), 3)
    assert sorted(done) == [(0, 3), (1, 3), (2, 3)]


def test_nothing_runs_on_after_a_fit():
    """Once a fit has returned, the process uses no more of any core; a thread that spins would take a whole one."""
    code = """
import threading, time
numba_cores.usable_cores = lambda: 2
fits.fitted()
before = time.process_time()
time.sleep(0.5)
print(threading.active_count(), time.process_time() - before < 0.05)
"""
    assert alone(code) == ["1", "True"]


def test_several_fits_of_several_threads_at_once(expected, monkeypatch):
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 2)
    results: list[str] = []
    workers = [threading.Thread(target=lambda: results.append(digest())) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [expected] * 3


# JAX, where another test has imported it, warns at every fork of the process.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_fits_in_worker_processes(method, expected):
    """Also after this process has trained, on threads."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    with multiprocessing.get_context(method).Pool(WORKERS) as pool:
        assert pool.map(digest, [1, None]) == [expected] * 2


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_fits_in_joblib_workers(backend, expected):
    joblib = pytest.importorskip("joblib")
    tasks = [joblib.delayed(digest)(threads) for threads in (1, None)]
    assert joblib.Parallel(n_jobs=WORKERS, backend=backend)(tasks) == [expected] * 2


def test_fits_in_dask_workers(expected):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "threads_per_worker": WORKERS, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        assert client.gather(client.map(digest, [1, None], pure=False)) == [expected] * 2


class Clock:
    """A clock that only a step moves."""

    def __init__(self, seconds_a_step):
        self.now, self.seconds_a_step, self.calls = 0.0, seconds_a_step, []

    def advance(self, _first, steps, threads):
        assert threads == 1
        self.calls.append(steps)
        self.now += steps * self.seconds_a_step
        return steps


@pytest.mark.parametrize("seconds_a_step", [1e-6, 1e-3, 0.02, 0.4])
def test_stop_is_asked_many_times_a_second_however_long_a_step_takes(seconds_a_step, monkeypatch):
    clock = Clock(seconds_a_step)
    monkeypatch.setattr(numba_run, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(numba_run.CompiledRun, "advance", clock.advance)
    run = object.__new__(numba_run.CompiledRun)
    run.taken = 0
    run.plan, run.losses = compiled.Plan(np.arange(0), 1, np.zeros(3_000_000), 0), np.zeros(3_000_000)
    asked = count()
    run.advance_until(lambda: next(asked) > 200, numba_pace.Pace(1))
    longest = max(clock.calls) * seconds_a_step
    assert longest <= max(1.01 * numba_pace.SECONDS_BETWEEN_STOPS, seconds_a_step)
    assert numba_pace.SECONDS_BETWEEN_STOPS <= 0.25, "Ctrl-C must stop a fit within a second"


def test_ctrl_c_in_the_middle_of_compiled_steps_loses_nothing():
    """The signal comes while the compiled code runs, and the fit would go on for hours."""
    code = """
import os, signal, threading, time
import numpy as np
import mlp_scratch as ms
X, y = np.random.default_rng(0).normal(size=(4000, 20)), np.arange(4000) % 3
def network():
    return ms.MLP([20, 30, 3], dropout=0.2, seed=1)
model = network()
fit = dict(batch_size=8, backend="numba", progress=False)
def press():
    while model.training is None or model.training.step < 2000:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press, daemon=True).start()
try:
    model.fit(X, y, epochs=10**7, **fit)
except KeyboardInterrupt:
    print("interrupted")
steps, epoch = model.training.step, model.training.epoch
print(len(model.history.losses) == steps >= 2000, np.isfinite(model.flat).all())
model.fit(X, y, epochs=1, **fit)  # to the end of the epoch
whole = network()
whole.fit(X, y, epochs=model.training.epoch, **fit)
print(np.array_equal(model.flat, whole.flat), np.array_equal(model.training.slots, whole.training.slots))
"""
    assert alone(code) == ["interrupted", "True", "True", "True", "True"]
