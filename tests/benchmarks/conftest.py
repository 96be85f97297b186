import os
from pathlib import Path

import pytest

from mlp_benchmarks.cases import CASES
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.race import Race, Rules
from mlp_benchmarks.reference import ReferenceMaker
from mlp_benchmarks.training_races import TrainingJob
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
    """Run a race of fakes by class name; give back its lanes by that name, for several jobs a list of them."""

    def run(
        work: Work | list[Work], *names: str, rounds: int = 2, processes: int = 1, patience: float = 60.0
    ) -> dict[str, Lane] | list[dict[str, Lane]]:
        entries = {name: Entry(f"fake_contenders:{name}") for name in names}
        rules = Rules(rounds=rounds, processes=processes, seconds=0.005, patience=patience)
        works = work if isinstance(work, list) else [work]
        jobs = [TrainingJob(each, ReferenceMaker(each)) for each in works]
        with Race(jobs, entries, rules, progress=lambda text: None) as under_way:
            under_way.run()
        found = [{lane.name: lane for lane in lanes} for lanes in under_way.lanes]
        return found if isinstance(work, list) else found[0]

    return run
