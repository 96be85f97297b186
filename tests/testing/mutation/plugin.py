"""Makes one pytest run one stage: reads from the environment what `python -m tests.testing.mutation` was told."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.testing.mutation.killing import Killer
from tests.testing.mutation.mutants import Mutant
from tests.testing.mutation.stages import STAGES, by_chance
from tests.testing.mutation.verdicts import EXPLAINED, Verdicts, explained


def pytest_configure(config: pytest.Config) -> None:
    """Register the loop that tries mutants in place of pytest's own."""
    if "MUTATION_STAGE" not in os.environ:  # the pytest within a fork
        return
    stage = STAGES[os.environ.pop("MUTATION_STAGE")]
    stage = replace(stage, tests=tuple(os.environ["MUTATION_TESTS"].split()))
    folder = Path(os.environ["MUTATION_FOLDER"])
    verdicts = Verdicts(folder / "verdicts.jsonl")
    known = explained(EXPLAINED.read_text()) if EXPLAINED.exists() else {}

    def wanted(mutant: Mutant) -> bool:
        if verdicts.killed(stage.name, mutant):
            return False
        return (mutant.title, mutant.diff) not in known or not verdicts.tried(stage.name, mutant)

    def record(key: str, verdict: str, by: str) -> None:
        verdicts.add(stage.name, key, verdict, by)

    mutants = [mutant for _, mutant in stage.mutants(folder, os.environ["MUTATION_ONLY"])]
    if sample := int(os.environ["MUTATION_SAMPLE"]):
        mutants = by_chance(mutants, int(os.environ["MUTATION_SEED"]))[:sample]  # in this order: it can be stopped
    else:
        mutants.sort(key=lambda mutant: not mutant.body)  # those that are fast to try first
    mutants = [mutant for mutant in mutants if wanted(mutant)] if os.environ["MUTATION_TRIES"] == "1" else []
    config.pluginmanager.register(Killer(mutants, stage, folder, record, int(os.environ["MUTATION_PROCESSES"])))
