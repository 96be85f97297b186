import json

import pytest

from mlp_benchmarks import peaks, population
from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry, UnsuitableError
from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.populations import POPULATION_CONTENDERS, PopulationWork


@pytest.fixture(autouse=True)
def _given_peaks(monkeypatch):
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: (Peaks(100.0, 10.0), []))


def small_run(*more):
    arguments = ["population", "--networks", "4", "--epochs", "1", "--rounds", "1", "--processes", "1", *more]
    return main(arguments)


@pytest.mark.parametrize("name", POPULATION_CONTENDERS)
def test_each_contender_trains_the_same_networks(name):
    from mlp_benchmarks.worker import find

    entry = POPULATION_CONTENDERS[name]
    if not entry.installed:
        pytest.skip(entry.install)
    work = PopulationWork(count=4, epochs=1)
    try:
        contender = find(entry.path)(work)
    except UnsuitableError as reason:
        pytest.skip(str(reason))
    for _ in range(2):  # and again from the beginning
        contender.reset()
        verdict = work.judge(entry, contender.evidence(contender.run(contender.prepare(1))))
        assert verdict.fault == ""
        assert 0 < verdict.gap < verdict.bound


def test_records(tmp_path, capsys):
    file = tmp_path / "p.json"
    assert small_run("--contender", "numba", "--json", str(file)) == 0
    (record,) = json.loads(file.read_text())["records"]
    assert (record["networks"], record["steps"], record["contender"]) == (4, 312, "numba")
    assert "numba" in capsys.readouterr().out


def test_other_losses_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(population, "POPULATION_CONTENDERS", {"liar": Entry("fake_contenders:UntrainedPopulation")})
    assert small_run() == 1
    assert "wrong: liar: network 0 leaves its float64 curve at step 1" in capsys.readouterr().out


def test_too_few_networks(capsys):
    assert main(["population", "--networks", "3"]) == 2
    assert "--networks: got 3, expected an integer of at least 4" in capsys.readouterr().err
