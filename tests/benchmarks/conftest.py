import os
from pathlib import Path

import pytest

from mlp_benchmarks.cases import CASES
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.race import Lane, Race, Rules
from mlp_benchmarks.work import Work, make_work

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _fakes_in_workers(monkeypatch, tmp_path):
    """Workers find `fake_contenders`, and those write their log to a file of this test."""
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))


@pytest.fixture(scope="session")
def digits() -> Work:
    return make_work(CASES["digits"], "sgd", threads=1)


@pytest.fixture
def race():
    """Run a race of fakes by class name; give back its lanes by that name."""

    def run(work: Work, *names: str, rounds: int = 2, patience: float = 60.0) -> dict[str, Lane]:
        entries = {name: Entry(f"fake_contenders:{name}") for name in names}
        rules = Rules(rounds=rounds, seconds=0.005, patience=patience)
        with Race(work, entries, rules, progress=lambda text: None) as under_way:
            under_way.run()
        return {lane.name: lane for lane in under_way.lanes}

    return run
