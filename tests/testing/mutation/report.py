"""The numbers of a run, the survivors, and the record of both that the repository keeps."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from tests.testing.mutation.mutants import ROOT, Mutant, digest
from tests.testing.mutation.stages import STAGES
from tests.testing.mutation.verdicts import EXPLAINED, Verdicts, explained, table

RECORD = Path(__file__).parent / "record.json"


def report(folder: Path, only: str = "") -> int:
    """Print the table and what is wrong, and keep the record; the exit code says whether anything is wrong.

    Wrong are survivors that nobody has explained, and explanations of mutants that do not exist or do not survive.
    """
    rows = list(verdicts(folder, only))
    known = set(explained(EXPLAINED.read_text())) if EXPLAINED.exists() else set()
    wrong = [f"\n{mutant.title}\n{mutant.diff}" for _, mutant, verdict in rows if verdict == "survived"]
    if not only:
        needed = {(mutant.title, mutant.diff) for _, mutant, verdict in rows if verdict in ("equivalent", "untried")}
        wrong += [f"\nexplained, but no survivor: {title}\n{diff}" for title, diff in sorted(known - needed)]
        RECORD.write_text(json.dumps(record(rows), indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write("\n".join([*wrong, table((group, verdict) for group, _, verdict in rows)]) + "\n")
    return 1 if wrong else 0


def verdicts(folder: Path, only: str = "") -> Iterator[tuple[str, Mutant, str]]:
    """Group, mutant and verdict of every mutant of every stage."""
    found = Verdicts(folder / "verdicts.jsonl")
    known = explained(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    for stage in STAGES.values():
        for group, mutant in stage.mutants(folder, only):
            if found.killed(stage.name, mutant):
                yield group, mutant, "killed"
            elif not found.tried(stage.name, mutant):
                yield group, mutant, "untried"
            else:
                yield group, mutant, "equivalent" if (mutant.title, mutant.diff) in known else "survived"


def record(rows: list[tuple[str, Mutant, str]]) -> dict[str, object]:
    """Numbers by group and file, with the digest of each file and the survivors."""
    groups: dict[str, dict[str, dict[str, object]]] = {}
    counts: dict[tuple[str, str], Counter[str]] = {}
    for group, mutant, verdict in rows:
        counts.setdefault((group, mutant.file), Counter())[verdict] += 1
    for (group, file), own in counts.items():
        groups.setdefault(group, {})[file] = {"digest": digest((ROOT / file).read_text()), **own}
    survivors = [{"where": m.title, "change": m.diff} for _, m, verdict in rows if verdict == "survived"]
    return {"mutmut": version("mutmut"), "groups": groups, "survivors": survivors}


def published() -> int:
    """Print the table of the record, and which files have changed since; 1 where one has."""
    groups = json.loads(RECORD.read_text())["groups"]
    rows: list[tuple[str, str]] = []
    changed = []
    for group, files in groups.items():
        for file, own in files.items():
            was = own.pop("digest")
            rows += [(group, verdict) for verdict, number in own.items() for _ in range(number)]
            if not (ROOT / file).exists() or digest((ROOT / file).read_text()) != was:
                changed.append(file)
    sys.stdout.write(table(rows) + "\n")
    if changed:
        sys.stdout.write(f"changed since: {', '.join(sorted(set(changed)))}\n")
    return 1 if changed else 0
