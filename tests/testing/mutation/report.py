"""The numbers of a run, the survivors, and the record of both that the repository keeps."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.testing.mutation.mutants import ROOT, Mutant, digest
from tests.testing.mutation.stages import STAGES, by_chance
from tests.testing.mutation.verdicts import EXPLAINED, TRIED, Verdicts, explained, interval, table

RECORD = Path(__file__).parent / "record.json"

Rows = list[tuple[str, Mutant, str]]
"""Group, mutant and verdict."""


def report(
    folder: Path, stages: Iterable[str], only: str = "", samples: dict[str, tuple[int, int]] | None = None
) -> int:
    """Print the table and what is wrong, and keep the record; the exit code says whether anything is wrong.

    Wrong are survivors that nobody has explained, and explanations of mutants that do not exist or survive nowhere.
    """
    rows = list(verdicts(folder, stages, only))
    known = set(explained(EXPLAINED.read_text())) if EXPLAINED.exists() else set()
    wrong = [f"\n{mutant.title}\n{mutant.diff}" for _, mutant, verdict in rows if verdict == "survived"]
    if not only:
        files = {mutant.file for _, mutant, _ in rows}
        needless = sorted(one for one in known - needed(folder, files) if one[0].split()[0] in files)
        wrong += [f"\nexplained, but no survivor: {title}\n{diff}" for title, diff in needless]
        kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        RECORD.write_text(json.dumps(record(rows, kept, samples or {}), indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write("\n".join([*wrong, table((group, verdict) for group, _, verdict in rows)]) + "\n")
    return 1 if wrong else 0


def needed(folder: Path, files: set[str]) -> set[tuple[str, str]]:
    """Title and diff of the mutants of these files that some stage let live, or that none has tried."""
    alive, untried, tried = set[tuple[str, str]](), set[tuple[str, str]](), set[tuple[str, str]]()
    for _, mutant, verdict in verdicts(folder, STAGES, of=files):
        (untried if verdict == "untried" else tried).add((mutant.title, mutant.diff))
        if verdict in ("equivalent", "survived"):
            alive.add((mutant.title, mutant.diff))
    return alive | (untried - tried)


def verdicts(
    folder: Path, stages: Iterable[str], only: str = "", of: set[str] | None = None
) -> Iterator[tuple[str, Mutant, str]]:
    """Group, mutant and verdict of every mutant of these stages; see `Stage.mutants`."""
    found = Verdicts(folder / "verdicts.jsonl")
    known = explained(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    for stage in (STAGES[name] for name in stages):
        for group, mutant in stage.mutants(folder, only, of):
            if found.killed(stage.name, mutant):
                yield group, mutant, "killed"
            elif not found.tried(stage.name, mutant):
                yield group, mutant, "untried"
            else:
                yield group, mutant, "equivalent" if (mutant.title, mutant.diff) in known else "survived"


def record(rows: Rows, kept: dict[str, Any], samples: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """Numbers by group and file with each file's digest, the survivors, and what came of random samples.

    A file of which these rows know less than the record `kept` stays as it is there, under the digest that it had.

    Args:
        rows: of one folder's verdicts.
        kept: the record so far, or {}.
        samples: size and seed of the random sample that was tried of a group, unless it turns out to be all of it.
    """
    found: dict[str, dict[str, Counter[str]]] = {}
    for group, mutant, verdict in rows:
        found.setdefault(group, {}).setdefault(mutant.file, Counter())[verdict] += 1
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    older = {(group, file) for group, files in kept.get("groups", {}).items() if group not in found for file in files}
    for group, files in found.items():
        for file, own in files.items():
            now = {"digest": digest((ROOT / file).read_text()), **own}
            before = kept.get("groups", {}).get(group, {}).get(file, {})
            knows_less = not tried(own) or (before.get("digest") == now["digest"] and tried(own) < tried(before))
            if knows_less and tried(before):
                older.add((group, file))
            groups.setdefault(group, {})[file] = before if (group, file) in older else now
    survivors = [
        {"group": group, "where": mutant.title, "change": mutant.diff}
        for group, mutant, verdict in rows
        if verdict == "survived" and (group, mutant.file) not in older
    ]
    survivors += [one for one in kept.get("survivors", []) if (one["group"], one["where"].split()[0]) in older]
    order = [group for stage in STAGES.values() for group in stage.groups]
    groups = dict(sorted((kept.get("groups", {}) | groups).items(), key=lambda item: order.index(item[0])))
    drawn = kept.get("samples", {}) | {group: sampled(rows, group, *of) for group, of in samples.items()}
    partial = {group for group, files in groups.items() if any("untried" in own for own in files.values())}
    drawn = {group: own for group, own in drawn.items() if group in partial}  # of what was tried whole, all counts
    return {"mutmut": version("mutmut"), "groups": groups, "samples": drawn, "survivors": survivors}


def tried(own: dict[str, Any] | Counter[str]) -> int:
    """How many mutants of a file were tried."""
    return sum(own.get(verdict, 0) for verdict in TRIED)


def sampled(rows: Rows, group: str, size: int, seed: int) -> dict[str, int]:
    """What came of the first `size` mutants of a group in the order of `seed`, or of those before the first untried."""
    verdict_of = {mutant.key: verdict for of, mutant, verdict in rows if of == group}
    chosen = by_chance((mutant for of, mutant, _ in rows if of == group), seed)[:size]
    counts: Counter[str] = Counter()
    for mutant in chosen:
        if verdict_of[mutant.key] == "untried":
            break
        counts[verdict_of[mutant.key]] += 1
    return {"seed": seed, "tried": counts.total(), **counts}


def published() -> int:
    """Print what the record says, and which files have changed since they were tried; 1 where one has."""
    kept = json.loads(RECORD.read_text())
    rows = [
        (group, verdict)
        for group, files in kept["groups"].items()
        for own in files.values()
        for verdict in (*TRIED, "untried")
        for _ in range(own.get(verdict, 0))
    ]
    lines = [table(rows)]
    lines += [f"\nsurvived ({one['group']}): {one['where']}\n{one['change']}" for one in kept["survivors"]]
    lines += [f"\n{sentence(kept)}"]
    stale = [
        f"{file} ({group})"
        for group, files in kept["groups"].items()
        for file, own in files.items()
        if tried(own) and (not (ROOT / file).exists() or digest((ROOT / file).read_text()) != own["digest"])
    ]
    lines += [f"\nchanged since: {', '.join(stale)}"] if stale else []
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if stale else 0


NAMES = {
    "gradient code": "to layers, losses and optimisers",
    "rest of the engine": "to initialisers, random numbers and the gradient check",
    "kernels, as plain Python": "to the formulas of the CPU kernels run as plain Python",
    "kernels, compiled": "to the same compiled",
}
"""What a reader calls the groups."""


def sentence(kept: dict[str, Any]) -> str:
    """What the README says, from a record."""
    told = [of_group(NAMES[of], list(files.values()), kept["samples"].get(of)) for of, files in kept["groups"].items()]
    return f"Of the one-operator changes that can be noticed, the tests notice {'; '.join(told)}."


def of_group(name: str, files: list[dict[str, Any]], sample: dict[str, int] | None) -> str:
    """How many mutants of a group are killed, of how many that can be; of all of them, or of a random sample.

    >>> of_group("to layers", [{"killed": 1200, "equivalent": 8, "survived": 1}, {"killed": 30, "untried": 7}], None)
    '1,230 of 1,231 to layers (7 more not tried)'
    >>> of_group("to kernels", [{"untried": 7}], None)
    'the 7 to kernels were not tried'
    >>> sample = {"tried": 95, "killed": 90, "survived": 5}
    >>> of_group("to kernels", [{"killed": 90, "survived": 5, "untried": 900}], sample)
    '90 of 95 to kernels (a random sample of 95 among 995: of all, 88.3 % to 97.7 % with 95 % confidence)'
    """
    untried = sum(own.get("untried", 0) for own in files)
    among = sum(tried(own) for own in files) + untried
    counted = files if sample is None else [sample]
    killed, survived = (sum(own.get(verdict, 0) for own in counted) for verdict in ("killed", "survived"))
    if not killed + survived:
        return f"the {untried:,} {name} were not tried"
    found = f"{killed:,} of {killed + survived:,} {name}"
    if sample is None:
        return found + (f" ({untried:,} more not tried)" if untried else "")
    low, high = interval(killed, killed + survived)
    return (
        f"{found} (a random sample of {sample['tried']:,} among {among:,}: "
        f"of all, {low:.1f} % to {high:.1f} % with 95 % confidence)"
    )
