import os

import pytest

from mlp_benchmarks.process import PRECISION_VARIABLES, THREAD_VARIABLES, Worker, choose_cpus, worker_environment

SHOW = """
import json, os
allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
print(json.dumps({"cpus": allowed, "environment": dict(os.environ)}), flush=True)
input()
"""


def test_a_worker_is_bound_before_its_first_import(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    cpus = choose_cpus(1)
    worker = Worker(["-c", SHOW], cpus=cpus, patience=30.0)
    try:
        seen = worker.answer()
    finally:
        worker.end()
    assert seen["cpus"] in (cpus, None)
    assert {seen["environment"][name] for name in THREAD_VARIABLES} == {"1"}
    assert not set(PRECISION_VARIABLES) & set(seen["environment"])


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


def test_questions_and_answers_are_json_lines():
    echo = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"
    worker = Worker(["-c", echo], cpus=choose_cpus(1), patience=30.0)
    try:
        question = {"do": "tune", "seconds": 0.1, "text": "µ\n"}
        assert worker.ask(question) == question
        worker.wait_until_it_rests()
    finally:
        worker.end()
