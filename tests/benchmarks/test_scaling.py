from dataclasses import replace
from types import SimpleNamespace

import pytest

from mlp_benchmarks import peaks, scaling
from mlp_benchmarks.cases import Case
from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.floor import Peaks, flops_per_step
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.random_shapes import BATCH, WIDTH, random_cases, slower_lines
from mlp_benchmarks.records import make_records, read_report
from mlp_benchmarks.scaling import AXES, axis_of, crossing_lines, curves

MACHINE = {"peaks": {}}


@pytest.fixture
def record(digits):
    """A record of a contender with this time and spread, at this value of the width."""
    (made,) = make_records(digits, [Lane("a", Entry(""), status="timed", steps=1, seconds=[[1.0, 1.0]])], MACHINE)

    def make(contender, width, median, spread=0.01, **more):
        low, high = median * (1 - spread), median * (1 + spread)
        case = f"width-{width}"
        return replace(made, case=case, contender=contender, median_us=median, p10_us=low, p90_us=high, **more)

    return make


def test_a_crossing_is_named_where_the_lines_meet(record):
    # a takes 1, 4, 16 and b takes 2, 4, 8 at widths 8, 32, 128: equal at 32.
    records = [record("a", 8, 1.0), record("a", 128, 16.0), record("b", 8, 2.0), record("b", 128, 8.0)]
    assert crossing_lines(records) == ["b overtakes a above width 32 (1 thread)"]


def test_values_where_spreads_overlap_decide_nothing(record):
    records = [record("a", 8, 1.0, 0.5), record("a", 128, 16.0), record("b", 8, 2.0, 0.5), record("b", 128, 8.0)]
    assert crossing_lines(records) == []


def test_whom_numba_stays_ahead_of_is_named(record):
    records = [record(name, width, time) for name, time in (("numba", 1.0), ("b", 2.0)) for width in (8, 128)]
    assert crossing_lines(records) == ["numba is never behind b over width (1 thread)"]


def test_nothing_is_concluded_from_one_thread_beside_two(record):
    records = [record(name, width, time) for name, time in (("numba", 1.0), ("numpy", 2.0)) for width in (8, 128)]
    assert crossing_lines(records) == ["numba is never behind numpy over width (1 thread)"]
    assert crossing_lines([replace(each, threads=2) for each in records]) == []


def test_only_cases_of_an_axis_have_a_place(record):
    assert axis_of(record("a", 8, 1.0)) == ("width", 8)
    assert axis_of(record("a", 9, 1.0)) is None
    assert axis_of(replace(record("a", 8, 1.0), case="digits")) is None
    assert list(curves([record("a", 128, 1.0), record("a", 8, 1.0)])[("width", 1)]["a"]) == [8, 128]


@pytest.mark.parametrize("axis", AXES)
def test_work_grows_along_each_axis(axis):
    work = [flops_per_step(case) for case in AXES[axis].values()]
    assert work == sorted(work)


def test_random_cases_stay_within_their_limits_and_are_not_round():
    cases = random_cases(200, seed=0)
    assert cases == random_cases(200, seed=0)
    assert cases != random_cases(200, seed=1)
    assert {len(case.widths) - 1 for case in cases} == set(range(1, 7))
    for case in cases:
        assert BATCH[0] <= case.batch <= BATCH[1]
        assert all(WIDTH[0] <= width <= WIDTH[1] for width in case.widths)
        assert case.widths[-1] >= 2
    odd = [width for case in cases for width in case.widths if width % 4]
    assert len(odd) > sum(len(case.widths) for case in cases) / 2


def test_where_numba_is_slower_is_said(record):
    won = [record("numba", 8, 1.0), record("torch", 8, 2.0, ratio=2.0, ratio_low=1.9, ratio_high=2.1)]
    lost = [record("numba", 16, 1.0), record("torch", 16, 0.5, ratio=0.5, ratio_low=0.4, ratio_high=0.6)]
    level = [record("numba", 32, 1.0), record("torch", 32, 0.9, ratio=0.9, ratio_low=0.7, ratio_high=1.1)]
    first, summary = slower_lines([*won, *lost, *level])
    assert first.startswith("numba is slower than torch: sgd, batch 32, 64-32-10, 1 thread")
    assert first.endswith("2.00 times as long")
    assert summary == "numba is the fastest, or level, in 2 of 3 races"


@pytest.fixture
def _small_world(monkeypatch):
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: (Peaks(100.0, 10.0), []))
    fakes = {"numba": Entry("fake_contenders:Honest"), "other": Entry("fake_contenders:AlsoHonest")}
    monkeypatch.setattr(scaling, "CONTENDERS", fakes)
    monkeypatch.setattr("mlp_benchmarks.compare.CONTENDERS", fakes)


@pytest.mark.usefixtures("_small_world")
def test_scaling_command(monkeypatch, tmp_path, capsys):
    cases = {width: Case(f"width-{width}", (width, 4), 8, "cross_entropy", "random") for width in (8, 16)}
    monkeypatch.setattr(scaling, "AXES", {"width": cases})
    file = tmp_path / "s.json"
    assert main(["scaling", "--rounds", "2", "--json", str(file)]) == 0
    assert {record.case for record in read_report(file).records} == {"width-8", "width-16"}
    assert "width-16" in capsys.readouterr().out


@pytest.mark.usefixtures("_small_world")
def test_random_races_end_with_the_minutes(monkeypatch, capsys):
    monkeypatch.setattr("mlp_benchmarks.random_shapes.WIDTH", (1, 20))
    arguments = ["compare", "--random", "3", "--contender", "numba,other", "--rounds", "2", "--processes", "1"]
    clock = iter([0.0, 59.0, 61.0])  # at the start, and before each case that might be raced
    with monkeypatch.context() as patch:
        patch.setattr("mlp_benchmarks.training_races.time", SimpleNamespace(monotonic=lambda: next(clock)))
        assert main([*arguments, "--optimizer", "sgd", "--minutes", "1"]) == 0
    shown = capsys.readouterr().out
    assert "of 1 races" in shown
    assert "2 cases were left out, since the minutes were over" in shown
    assert main([*arguments, "--optimizer", "sgd"]) == 0
    assert "of 3 races" in capsys.readouterr().out
