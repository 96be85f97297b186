"""The numbers of a run, and the survivors."""

import sys
from pathlib import Path

from tests.testing.mutation.stages import STAGES
from tests.testing.mutation.verdicts import EXPLAINED, Verdicts, explained, table


def report(folder: Path, only: str = "") -> int:
    """Print the table and the survivors that nobody has explained; their number decides the exit code."""
    verdicts = Verdicts(folder / "verdicts.jsonl")
    known = explained(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    rows, unexplained = [], []
    for name in ("engine",):
        stages = [stage for stage in STAGES.values() if name in (stage.name, stage.survivors_of)]
        for _group, mutant in STAGES[name].mutants(folder, only):
            if any(verdicts.killed(stage.name, mutant) for stage in stages):
                verdict = "killed"
            elif (mutant.title, mutant.diff) in known:
                verdict = "equivalent"
            else:
                verdict = "survived" if verdicts.tried(name, mutant) else "untried"
            if verdict == "survived":
                unexplained.append(f"\n{mutant.title}\n{mutant.diff}")
            rows.append((mutant.file, verdict))
    sys.stdout.write("\n".join([*unexplained, table(rows)]) + "\n")
    return 1 if unexplained else 0
