import math
import os
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from mlp_benchmarks.cases import CASES
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.process import Worker, choose_cpus
from mlp_benchmarks.race import Race, Rules
from mlp_benchmarks.reference import ReferenceMaker
from mlp_benchmarks.training_races import TrainingJob
from mlp_benchmarks.work import make_work
from mlp_scratch.machine import usable_cores

SKIP_NO_PROCFS = pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux' list of processes")


def turns():
    """What the fakes logged: (name, start, end, steps) of each turn, in the order in which they ended."""
    lines = Path(os.environ["FAKE_LOG"]).read_text().splitlines()
    return [(name, int(start), int(end), int(steps)) for name, start, end, steps in map(str.split, lines)]


def test_rounds_are_interleaved_one_at_a_time(race, digits):
    lanes = race(digits, "Honest", "AlsoHonest", rounds=4)
    log = turns()
    timed = log[-8:]
    assert [name for name, *_ in timed] == ["Honest", "AlsoHonest"] * 4
    # What comes before is not timed and goes on side by side.
    for (_, _, end, _), (_, start, _, _) in pairwise(timed):
        assert end <= start
    for lane in lanes.values():
        assert lane.status == "timed"
        assert [len(process) for process in lane.seconds] == [4]
        assert {steps for name, _, _, steps in timed if name == lane.name} == {lane.steps}
        assert 0 < lane.gap < lane.bound < 1e-4


def test_rounds_are_long_enough_to_time(race, digits):
    lane = race(digits, "Honest", rounds=1)["Honest"]
    # The round that settled the number of steps took at least the 0.005 s that the fixture asks for.
    tuned = [end - start for _, start, end, steps in turns()[:-1] if steps == lane.steps]
    assert max(tuned) >= 0.005e9


def test_no_memory_between_rounds(race, digits):
    # Each round starts at the injected weights: the first losses of all are checked against the same curve.
    assert race(digits, "Honest", rounds=3)["Honest"].status == "timed"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("liar", ["ScaledGradient", "OtherOrder", "OtherData", "SkipsAnUpdate", "NotANumber"])
def test_a_liar_is_not_timed_and_others_are(race, liar, optimizer):
    lanes = race(make_work(CASES["digits"], optimizer, threads=1), liar, "Honest", rounds=1)
    assert lanes[liar].status == "wrong"
    assert lanes[liar].seconds == []
    assert lanes[liar].reason.startswith("the losses leave the float64 curve at step ")
    assert lanes["Honest"].status == "timed"


@pytest.mark.parametrize("lazy", ["LazyWhenTimed", "LazyAndSlow"])
def test_laziness_while_timed_is_found(race, lazy, digits):
    lane = race(digits, lazy, rounds=1)[lazy]
    assert lane.status == "wrong"
    assert lane.reason.startswith("while timed: the losses leave the float64 curve at step 2")


@pytest.mark.parametrize(
    ("fake", "reason"),
    [
        ("Crashing", "crashed with exit code 1: RuntimeError: the framework fell over"),
        ("Dying", "crashed with exit code 7"),
        ("Missing", "crashed with exit code 1: AttributeError: module 'fake_contenders' has no attribute 'Missing'"),
    ],
)
def test_a_crash_is_reported_and_others_finish(race, digits, fake, reason):
    lanes = race(digits, fake, "Honest", rounds=1)
    assert (lanes[fake].status, lanes[fake].reason) == ("failed", reason)
    assert lanes["Honest"].status == "timed"


def test_one_that_hangs_is_ended(race, digits):
    lanes = race(digits, "Hanging", "Honest", rounds=1, patience=30.0)
    assert (lanes["Hanging"].status, lanes["Hanging"].reason) == ("failed", "no answer within 30 s")
    assert lanes["Honest"].status == "timed"


def test_one_that_never_rests_is_parked_while_others_run(race, digits):
    lanes = race(digits, "Spinning", "Honest", rounds=1)
    assert lanes["Spinning"].status == lanes["Honest"].status == "timed"


def test_sleep_is_shown(race, digits):
    lane = race(digits, "Sleepy", rounds=2)["Sleepy"]
    assert min(lane.seconds[0]) >= 0.05


def test_each_process_is_a_new_one_with_the_same_number_of_steps(race, digits):
    lane = race(digits, "Honest", rounds=2, processes=3)["Honest"]
    assert [len(process) for process in lane.seconds] == [2, 2, 2]
    assert len({steps for _, _, _, steps in turns()[-6:]}) == 1
    # One log for all: the number of steps was found once, and each process checked or warmed up before it was timed.
    assert len(turns()) >= 1 + 3 * 3


@pytest.mark.skipif(find_spec("jax") is None, reason="needs jax")
def test_a_process_finds_what_the_one_before_has_compiled(digits):
    entries, compiled = {"jax": Entry("mlp_benchmarks.contenders.jax:Jax")}, []

    def note(text):
        folder = Path(under_way._folder.name) / "jax"
        compiled.append(sorted(path.name for path in folder.glob("*-cache")))

    rules = Rules(rounds=1, processes=2, seconds=0.005)
    with Race([TrainingJob(digits, ReferenceMaker(digits))], entries, rules, progress=note) as under_way:
        under_way.run()
    assert compiled[0] == []
    after_the_first = compiled[len(compiled) // 2]
    assert after_the_first
    assert compiled[-1] == after_the_first


def test_one_that_crashes_in_a_job_is_there_for_the_next(race, digits):
    adam = make_work(CASES["digits"], "adam", threads=1)
    first, second, third = race([adam, digits, adam], "CrashingOnAdam", "Honest", rounds=1)
    assert first["CrashingOnAdam"].status == third["CrashingOnAdam"].status == "failed"
    assert second["CrashingOnAdam"].status == "timed"
    assert [lanes["Honest"].status for lanes in (first, second, third)] == ["timed"] * 3


def test_who_is_slow_is_not_timed_more_often_than_must_be(race, digits, monkeypatch):
    monkeypatch.setattr("mlp_benchmarks.race.SLOW", 0.05)
    lanes = race(digits, "Sleepy", "Honest", rounds=4)
    assert len(lanes["Sleepy"].seconds[0]) == 2
    assert len(lanes["Honest"].seconds[0]) == 4


def questions(monkeypatch):
    """A list that holds all that workers are asked from now on."""
    asked, ask = [], Worker.ask
    monkeypatch.setattr(Worker, "ask", lambda worker, question: (asked.append(question), ask(worker, question))[1])
    return asked


def run_race(work, rules, *, threads=1, before=lambda race: None, **entries):
    """The lanes of a race of fakes by these rules."""
    entries = {name: Entry(f"fake_contenders:{name}", **entries.get(name, {})) for name in entries}
    with Race([TrainingJob(work, ReferenceMaker(work))], entries, rules, threads=threads, progress=str) as under_way:
        before(under_way)
        under_way.run()
    return {lane.name: lane for lane in under_way.lanes[0]}


def test_rounds_end_with_the_budget(digits):
    lanes = run_race(digits, Rules(rounds=1000, processes=2, seconds=0.005, budget=0.0), Honest={})
    assert [len(process) for process in lanes["Honest"].seconds] == [2, 1]


def test_no_round_begins_that_would_not_end_within_the_budget(digits):
    # After two rounds of 0.05 s there is time left, but not for another.
    lanes = run_race(digits, Rules(rounds=1000, processes=1, seconds=0.005, budget=0.14), Sleepy={})
    assert [len(process) for process in lanes["Sleepy"].seconds] == [2]


@pytest.mark.parametrize(("most_seconds", "processes"), [(0.0, 1), (60.0, 3)])
def test_no_process_begins_that_would_not_end_in_time(digits, most_seconds, processes):
    lanes = run_race(digits, Rules(rounds=2, seconds=0.005, most_seconds=most_seconds), Honest={})
    assert [len(process) for process in lanes["Honest"].seconds] == [2] * processes


def test_only_who_takes_many_steps_in_a_call_needs_long_rounds(digits, monkeypatch):
    asked = questions(monkeypatch)
    monkeypatch.setattr(TrainingJob, "least_seconds", 0.04)
    monkeypatch.setattr("mlp_benchmarks.race.LONG_ENOUGH", 0.01)
    lanes = run_race(digits, Rules(rounds=1, processes=3, seconds=0.005), Honest={"many_steps": True}, AlsoHonest={})
    assert sorted(each["seconds"] for each in asked if each["do"] == "tune") == [0.01, 0.04]
    # No one is warmed up for longer.
    long = lanes["Honest"]
    (warm_up, _) = (each for each in asked if each["do"] == "warm_up" and each["steps"] == long.steps)
    assert warm_up["some"] == math.ceil(min(1.0, 0.01 / long.seconds[0][0]) * long.steps)
    assert {lane.status for lane in lanes.values()} == {"timed"}


@pytest.mark.skipif(usable_cores() < 2, reason="needs two processors")
def test_who_has_two_threads_is_checked_beside_another(digits):
    work = replace(digits, threads=2)
    lanes = run_race(work, Rules(rounds=1, processes=1, patience=30.0), threads=2, Meeting={}, AlsoMeeting={})
    assert {lane.name: lane.status for lane in lanes.values()} == {"Meeting": "timed", "AlsoMeeting": "timed"}


def test_who_took_longest_is_checked_first(digits, monkeypatch):
    monkeypatch.setattr("mlp_benchmarks.race.places", lambda threads: [choose_cpus(threads)])
    rules = Rules(rounds=1, processes=1, seconds=0.005)
    run_race(digits, rules, before=lambda race: race._took.update(AlsoHonest=9.0), Honest={}, AlsoHonest={})
    assert [name for name, *_ in turns()[:2]] == ["AlsoHonest", "Honest"]


def test_one_that_cannot_is_skipped(race, digits):
    lane = race(digits, "Unable")["Unable"]
    assert (lane.status, lane.reason) == ("skipped", "has no such loss")


def test_what_libraries_print_is_no_answer(race, digits):
    assert race(digits, "Talkative", rounds=1)["Talkative"].status == "timed"


def test_what_is_not_installed_is_skipped(digits):
    entries = {"nothing": Entry("nothing:Nothing", "numpy no_such_package", "pip install no-such-package")}
    with Race([TrainingJob(digits, ReferenceMaker(digits))], entries, Rules(), progress=lambda text: None) as race:
        race.run()
    ((lane,),) = race.lanes
    assert (lane.status, lane.reason) == ("skipped", "not installed (pip install no-such-package)")


@pytest.mark.parametrize("driver", [False, True])
def test_nobody_is_started_for_a_gpu_where_there_is_no_driver(digits, driver, monkeypatch):
    monkeypatch.setattr("mlp_benchmarks.race.has_gpu_driver", lambda: driver)
    lanes = run_race(digits, Rules(rounds=1, processes=1, seconds=0.005), Honest={"device": "gpu"}, AlsoHonest={})
    assert lanes["AlsoHonest"].status == "timed"
    honest = lanes["Honest"]
    assert (honest.status, honest.reason) == (
        ("timed", "") if driver else ("skipped", "no NVIDIA driver on this machine")
    )
    assert ("Honest" in {name for name, *_ in turns()}) == driver


@SKIP_NO_PROCFS
def test_no_worker_is_left_behind(digits):
    entries = {"fake": Entry("fake_contenders:Honest")}
    job = TrainingJob(digits, ReferenceMaker(digits))
    with Race([job], entries, Rules(rounds=1), progress=lambda text: None) as under_way:
        under_way._start_workers(0)
        pid = under_way._workers["fake"]._process.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
