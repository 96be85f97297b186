import json

import numpy as np
import pytest

from mlp_benchmarks import costs, peaks
from mlp_benchmarks.cases import CASES
from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.predictions import PREDICTORS, PredictJob
from mlp_benchmarks.reference import accuracy_curve
from mlp_benchmarks.worker import find


@pytest.fixture(autouse=True)
def _small_world(monkeypatch):
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: (Peaks(100.0, 10.0), []))
    fakes = {
        "numpy": Entry("fake_contenders:Honest"),
        "liar": Entry("fake_contenders:ScaledGradient"),
        "crash": Entry("fake_contenders:Crashing"),
    }
    monkeypatch.setattr(costs, "CONTENDERS", fakes)
    monkeypatch.setattr(costs, "STARTED", tuple(fakes))


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("batch", [1, 33])
def test_each_predictor_gives_the_same_probabilities(name, batch):
    entry = PREDICTORS[name]
    if entry.package:
        pytest.importorskip(entry.package)
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
    assert (status["liar"], status["crash"]) == ("wrong", "failed")
    assert "numpy" in capsys.readouterr().out
