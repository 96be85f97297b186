"""The mutation testing itself: changes are found, get into a process, and are explained by what is really there."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.testing.mutation.mutants import ROOT, mutants_of
from tests.testing.mutation.verdicts import EXPLAINED, explained, table

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


def test_a_rate_is_rounded_down():
    assert "99.9 %" in table([("a", "killed")] * 9999 + [("a", "survived")]).split("\n")[1]
    assert "100.0 %" in table([("a", "killed"), ("a", "equivalent")]).split("\n")[1]
