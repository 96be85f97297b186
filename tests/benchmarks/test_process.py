import os
import sys
import time

import pytest

from mlp_benchmarks.process import REMOVED_VARIABLES, THREAD_VARIABLES, Worker, choose_cpus, places, worker_environment

SHOW = """
import json, os
allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
print(json.dumps({"cpus": allowed, "environment": dict(os.environ)}), flush=True)
input()
"""


SWITCHES = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE", "JAX_DISABLE_JIT", "ATEN_CPU_CAPABILITY")
"""With any of these another program would be timed than the one that a contender is called after."""


def test_a_worker_is_bound_before_its_first_import(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    for switch in SWITCHES:
        monkeypatch.setenv(switch, "1")
    cpus = choose_cpus(1)
    worker = Worker(["-c", SHOW], cpus=cpus, patience=30.0)
    try:
        seen = worker.answer()
    finally:
        worker.end()
    assert seen["cpus"] in (cpus, None)
    assert {seen["environment"][name] for name in THREAD_VARIABLES} == {"1"}
    assert not set(SWITCHES) & set(seen["environment"])
    assert not set(REMOVED_VARIABLES) & set(seen["environment"])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no processes")
def test_the_parent_stays_unbound():
    before = os.sched_getaffinity(0)
    Worker(["-c", ""], cpus=choose_cpus(1), patience=30.0).end()
    assert os.sched_getaffinity(0) == before


def test_thread_counts_and_hidden_gpus():
    environment = worker_environment(2)
    assert {environment[name] for name in THREAD_VARIABLES} == {"2"}
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["JAX_PLATFORMS"] == "cpu"
    on_gpu = worker_environment(2, "gpu")
    assert on_gpu.get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")
    assert on_gpu["JAX_PLATFORMS"] == ""


def test_places_do_not_overlap():
    groups = places(1)
    assert len({tuple(group) for group in groups}) == len(groups)
    assert places(len(groups)) == [[cpu for (cpu,) in groups]]
    assert choose_cpus(1) == groups[-1]


SPIN = """
import sys, threading
def spin():
    while True: pass
threading.Thread(target=spin, daemon=True).start()
for line in sys.stdin: print(line.strip(), flush=True)
"""


def used(worker):
    import psutil

    return sum(psutil.Process(worker._process.pid).cpu_times()[:2])


def test_who_is_parked_uses_no_processor_time_and_goes_on_afterwards():
    worker = Worker(["-c", SPIN], cpus=choose_cpus(1), patience=30.0)
    try:
        worker.ask({"a": 1})
        worker.park()
        time.sleep(0.1)  # the signal has reached every thread
        before = used(worker)
        time.sleep(0.5)
        assert used(worker) == before
        worker.unpark()
        assert worker.ask({"a": 2}) == {"a": 2}
    finally:
        worker.end()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux moves the threads of others")
def test_all_threads_are_moved():
    worker = Worker(["-c", SPIN], cpus=places(1)[0], patience=30.0)
    try:
        worker.ask({"a": 1})
        worker.bind(choose_cpus(1))
        threads = os.listdir(f"/proc/{worker._process.pid}/task")
        assert len(threads) == 2
        assert {tuple(os.sched_getaffinity(int(thread))) for thread in threads} == {tuple(choose_cpus(1))}
    finally:
        worker.end()


def test_questions_and_answers_are_json_lines():
    echo = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"
    worker = Worker(["-c", echo], cpus=choose_cpus(1), patience=30.0)
    try:
        question = {"do": "tune", "seconds": 0.1, "text": "µ\n"}
        assert worker.ask(question) == question
    finally:
        worker.end()
