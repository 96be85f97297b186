"""How hard to look: Hypothesis profiles for a suite that runs on every change, and for one that runs for hours."""

import os
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

VARIABLE = "HYPOTHESIS_PROFILE"
EXAMPLES = Path(".hypothesis") / "examples"
"""Failing examples are kept here, below the working directory, and tried first in the next fresh or thorough run."""


def load_profile(name: str | None = None) -> str:
    """Register the profiles and load one: `name`, or what HYPOTHESIS_PROFILE says, or "quick". Returns its name.

    | profile  | examples a test | seed                                | failing examples |
    |----------|-----------------|-------------------------------------|------------------|
    | quick    | 30              | fixed: the same examples every time | not needed       |
    | fresh    | 30              | new, or pytest's `--hypothesis-seed` | kept, replayed  |
    | thorough | 5000            | new, or pytest's `--hypothesis-seed` | kept, replayed  |
    | mutants  | 30              | fixed                               | not shrunk       |

    No profile has a deadline: no check depends on how fast the machine is.

    >>> load_profile("quick")
    'quick'
    """
    database = DirectoryBasedExampleDatabase(EXAMPLES)
    settings.register_profile("quick", deadline=None, derandomize=True, max_examples=30)
    settings.register_profile("fresh", deadline=None, derandomize=False, max_examples=30, database=database)
    settings.register_profile("thorough", deadline=None, derandomize=False, max_examples=5000, database=database)
    # For mutation testing: that a test fails is all there is to know, and shrinking takes longer than finding.
    found = [Phase.explicit, Phase.generate]
    settings.register_profile("mutants", deadline=None, derandomize=True, max_examples=30, phases=found)
    chosen = name or os.environ.get(VARIABLE, "quick")
    settings.load_profile(chosen)
    return chosen
