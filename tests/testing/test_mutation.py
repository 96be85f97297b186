"""The mutation testing itself: changes are found, get into a process, and are explained by what is really there."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.testing.mutation.mutants import ROOT, Mutant, digest, mutants_of
from tests.testing.mutation.report import RECORD, needed, record, sentence
from tests.testing.mutation.stages import STAGES, by_chance
from tests.testing.mutation.verdicts import EXPLAINED, Verdicts, explained, table

needs_mutmut = pytest.mark.skipif(find_spec("mutmut") is None, reason="mutmut is not installed")


@needs_mutmut
def test_operators_numbers_and_arguments_are_changed(tmp_path):
    mutants = mutants_of("mlp_scratch/functional.py", tmp_path)
    changes = {(mutant.function, mutant.old, mutant.new) for mutant in mutants}
    line = "return e / e.sum(axis=1, keepdims=True)"
    assert ("softmax", line, line.replace("e / e", "e * e")) in changes
    assert ("softmax", line, line.replace("axis=1", "axis=2")) in changes
    assert ("softmax", line, line.replace("axis=1, ", "")) in changes
    assert len({mutant.key for mutant in mutants}) == len(mutants)
    assert mutants_of("mlp_scratch/functional.py", tmp_path) == mutants


@needs_mutmut
def test_decorated_functions_and_defaults_are_changed_but_no_words_of_a_refusal(tmp_path):
    mutants = mutants_of("mlp_scratch/optimizers/sgd.py", tmp_path)
    assert any(mutant.function == "SGD.slots" and mutant.body for mutant in mutants)
    assert any(mutant.old == "momentum: float = 0.0" and not mutant.body for mutant in mutants)
    assert not any("try momentum" in mutant.old for mutant in mutants)


SWAPPED = """
import sys
from pathlib import Path
import numpy as np
from tests.testing.mutation.mutants import mutants_of
from tests.testing.mutation.swapping import swap
from mlp_scratch.functional import softmax
from mlp_scratch.optimizers import SGD
for file, old in (("functional.py", "return e / e.sum("), ("optimizers/sgd.py", 'return ("velocity",)')):
    mutants = mutants_of(f"mlp_scratch/{file}", Path(sys.argv[1]))
    swap(next(mutant for mutant in mutants if mutant.old.startswith(old) and mutant.body))
assert softmax(np.array([[0.0, 0.0]])).tolist() != [[0.5, 0.5]]
assert SGD(momentum=0.5).slots != ("velocity",)
"""


@needs_mutmut
def test_a_change_gets_into_functions_that_others_hold_already(tmp_path):
    command = [sys.executable, "-c", SWAPPED, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_explanation_is_of_code_that_is_there():
    entries = explained(EXPLAINED.read_text())
    assert entries
    for (title, diff), reason in entries.items():
        file, *function = title.removesuffix(")").split(" (")[0].split(" ")
        text = (ROOT / file).read_text()
        lines = {line.strip() for line in text.split("\n")}
        assert {line[2:] for line in diff.split("\n") if line.startswith("- ")} <= lines, title
        assert len(function) > 1 or f"def {function[0].split('.')[-1]}(" in text, title
        assert reason, title


def test_every_stage_names_files_functions_and_tests_that_are_there():
    for stage in STAGES.values():
        patterns = [pattern.partition("::") for patterns in stage.groups.values() for pattern in patterns]
        tests = [test.partition("::") for test in stage.tests]
        for path, _, name in (*patterns, *tests):
            found = list(ROOT.glob(path))
            assert found, path
            assert not name or f"def {name}(" in found[0].read_text(), f"{path}::{name}"


def test_a_rate_is_rounded_down():
    assert "99.9 %" in table([("gradient code", "killed")] * 9999 + [("gradient code", "survived")]).split("\n")[1]
    assert "100.0 %" in table([("gradient code", "killed"), ("gradient code", "equivalent")]).split("\n")[1]


@needs_mutmut
def test_any_so_many_of_the_first_are_the_sample_of_a_smaller_size(tmp_path):
    mutants = mutants_of("mlp_scratch/functional.py", tmp_path)
    drawn = by_chance(mutants, 0)
    assert sorted(m.key for m in drawn) == sorted(m.key for m in mutants)
    assert [m for m in drawn if m in mutants[::2]] == by_chance(mutants[::2], 0)
    assert drawn != mutants
    assert drawn != by_chance(mutants, 1)


def mutant(number, file="mlp_scratch/functional.py"):
    return Mutant(file, "f", str(number), "", 1, "", True, "")


def test_what_a_run_did_not_try_stays_in_the_record_as_it_was():
    other = "mlp_scratch/random.py"
    rows = [
        ("gradient code", mutant(0), "killed"),
        ("gradient code", mutant(1), "survived"),
        ("gradient code", mutant(2, other), "untried"),
    ]
    first = record(rows, {}, {})
    assert first["groups"]["gradient code"][other] == {"digest": digest((ROOT / other).read_text()), "untried": 1}
    assert [(one["group"], one["where"]) for one in first["survivors"]] == [
        ("gradient code", "mlp_scratch/functional.py f")
    ]
    nothing = [(group, of, "untried") for group, of, _ in rows]
    assert record(nothing, first, {}) == first
    stale = json.loads(json.dumps(first))
    stale["groups"]["gradient code"]["mlp_scratch/functional.py"]["digest"] = "of another text"
    assert record(nothing, stale, {}) == stale
    assert record(rows, stale, {}) == first
    less = [("gradient code", mutant(0), "killed"), ("gradient code", mutant(1), "untried")]
    assert record(less, first, {})["groups"]["gradient code"]["mlp_scratch/functional.py"]["survived"] == 1
    assert record(less, stale, {})["groups"]["gradient code"]["mlp_scratch/functional.py"]["untried"] == 1
    assert record(less, stale, {})["survivors"] == []
    assert record([("rest of the engine", of, verdict) for _, of, verdict in rows], first, {})["groups"].keys() == {
        "gradient code",
        "rest of the engine",
    }


def test_a_sample_that_was_stopped_counts_up_to_there():
    chosen = by_chance([mutant(i) for i in range(9)], 3)
    verdict_of = dict.fromkeys(chosen[:4], "killed") | {chosen[1]: "survived", chosen[5]: "killed"}
    rows = [("gradient code", mutant(i), verdict_of.get(mutant(i), "untried")) for i in range(9)]
    stopped = record(rows, {}, {"gradient code": (8, 3)})
    assert stopped["samples"] == {"gradient code": {"seed": 3, "tried": 4, "killed": 3, "survived": 1}}
    assert record(rows, stopped, {})["samples"] == stopped["samples"]
    assert record(rows, stopped, {"gradient code": (2, 3)})["samples"]["gradient code"]["tried"] == 2
    whole = record([(group, one, "killed") for group, one, _ in rows], stopped, {"gradient code": (9, 3)})
    assert whole["samples"] == {}


@needs_mutmut
def test_an_explanation_is_needed_where_a_mutant_lives_or_nobody_tried_it(tmp_path):
    file, found = "kernels/mlp_kernels/cpu/naive.py", Verdicts(tmp_path / "verdicts.jsonl")
    mutants = [mutant for _, mutant in STAGES["plain"].mutants(tmp_path, of={file})]
    one, other, third = [mutant for mutant in mutants if mutant.body][:3]
    for stage, mutant, verdict in (
        ("plain", one, "killed"),
        ("plain", other, "killed"),
        ("compiled", other, "survived"),
        ("plain", third, "survived"),
    ):
        found.add(stage, mutant.key, verdict, "")
    wanted = {(mutant.title, mutant.diff) for mutant in mutants} - {(one.title, one.diff)}
    assert needed(tmp_path, {file}) == wanted


def test_the_readme_says_what_the_record_says():
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert sentence(json.loads(RECORD.read_text())) in readme
