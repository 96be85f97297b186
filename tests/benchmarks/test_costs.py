import io
import json
import sys
from importlib import reload
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from mlp_benchmarks import costs, first_step, peaks
from mlp_benchmarks.cases import CASES
from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.predictions import PREDICTORS, PredictJob
from mlp_benchmarks.process import Worker, choose_cpus
from mlp_benchmarks.reference import accuracy_curve
from mlp_benchmarks.worker import find


@pytest.fixture(autouse=True)
def _small_world(monkeypatch):
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: (Peaks(100.0, 10.0), []))
    fakes = {
        "numpy": Entry("fake_contenders:Honest"),
        "liar": Entry("fake_contenders:ScaledGradient"),
        "crash": Entry("fake_contenders:Crashing"),
        "absent": Entry("nothing:Nothing", "no_such_package", "pip install no-such-package"),
    }
    monkeypatch.setattr(costs, "CONTENDERS", fakes)
    monkeypatch.setattr(costs, "STARTED", tuple(fakes))


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("batch", [1, 33])
def test_each_predictor_gives_the_same_probabilities(name, batch):
    entry = PREDICTORS[name]
    if not entry.installed:
        pytest.skip(entry.install)
    job = PredictJob(CASES["digits"], batch)
    predictor = find(entry.path)(job)
    evidence = predictor.evidence(predictor.run(2))
    assert job.judge(entry, evidence).fault == ""
    assert job.judge(entry, evidence + 1e-3).fault
    assert job.judge(entry, evidence * np.nan).fault


def test_accuracy_grows(digits):
    accuracies = accuracy_curve(digits, 200)
    assert len(accuracies) == 201
    assert accuracies[0] < 0.5 < accuracies[-1]


COMPILE = """
import jax
jax.jit(lambda x: 2 * x + 1)(1.0)
print("{}", flush=True)
input()
"""


def test_what_jax_compiles_in_no_time_is_kept_for_the_warm_start(tmp_path):
    pytest.importorskip("jax")
    worker = Worker(["-c", COMPILE], cpus=choose_cpus(1), patience=60.0, environment=costs.caches_in(tmp_path))
    try:
        worker.answer()
    finally:
        worker.end()
    assert list((tmp_path / "jax").iterdir())


@pytest.mark.parametrize(("fake", "needless"), [("Honest", 1.0), ("CompilesEachLength", 3.0)])
def test_a_training_pays_for_one_compilation(digits, tmp_path, monkeypatch, fake, needless):
    digits.save(tmp_path / "work.npz")
    clock, answers = iter([10.0, 12.0, 13.0, 20.0]), io.StringIO()  # ready, the first and the second step, trained
    monkeypatch.setattr(first_step, "time", SimpleNamespace(time=lambda: next(clock)))
    monkeypatch.setattr(first_step, "claim_stdout", lambda: answers)
    monkeypatch.setattr(sys, "argv", ["first_step", f"fake_contenders:{fake}", str(tmp_path / "work.npz"), "5"])
    monkeypatch.syspath_prepend(Path(__file__).parent)
    first_step.main()
    assert json.loads(answers.getvalue())["needless"] == needless


def test_windows_knows_the_largest_memory_too(monkeypatch):
    memory = SimpleNamespace(peak_wset=7)
    monkeypatch.setitem(sys.modules, "resource", None)  # not made for Windows
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: memory))
    assert reload(first_step).largest_memory() == 7


def test_starts_and_predictions(tmp_path, capsys):
    file = tmp_path / "c.json"
    assert main(["costs", "--case", "digits", "--repetitions", "1", "--json", str(file)]) == 1
    contents = json.loads(file.read_text())
    start, *predictions = contents["records"]
    assert (start["what"], start["contender"], start["target"]) == ("start", "numpy", 0.95)
    assert 0 < start["target_steps"] < costs.LONGEST
    assert start["memory_mb"] > 1
    assert min(start[name] for name in ("cold_s", "warm_s", "target_s")) > 0
    assert {record["contender"] for record in predictions} >= {"numpy"}
    status = {entry["contender"]: entry["status"] for entry in contents["not_timed"]}
    assert (status["liar"], status["crash"], status["absent"]) == ("wrong", "failed", "skipped")
    assert "numpy" in capsys.readouterr().out
