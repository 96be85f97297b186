"""What was found: the verdicts of a run, the survivors that docs/mutants.md explains, and the table of both."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.testing.mutation.mutants import ROOT, Mutant

EXPLAINED = ROOT / "docs" / "mutants.md"
ENTRY = re.compile(r"^### `(?P<title>[^`]+)`\n\n(?P<body>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
TRIED = ("killed", "equivalent", "survived")
DIFF = re.compile(r"```diff\n(?:@@ (?P<place>\d+)\n)?(?P<diff>.*?)\n```", re.DOTALL)


class Verdicts:
    """Verdicts by stage and mutant, one a line in a file that only grows, so that a run can be stopped anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[tuple[str, str], tuple[str, str]] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                stage, key, verdict, by = json.loads(line)
                self.found[stage, key] = verdict, by

    def add(self, stage: str, key: str, verdict: str, by: str) -> None:
        """Keep a verdict, at once on disk."""
        self.found[stage, key] = verdict, by
        with self.path.open("a") as file:
            file.write(json.dumps([stage, key, verdict, by]) + "\n")

    def killed(self, stage: str, mutant: Mutant) -> bool:
        """Whether a stage killed a mutant."""
        return self.found.get((stage, mutant.key), ("", ""))[0] == "killed"

    def tried(self, stage: str, mutant: Mutant) -> bool:
        """Whether a stage tried a mutant."""
        return (stage, mutant.key) in self.found


def explained(text: str) -> dict[tuple[str, str], str]:
    """Title and diff of every mutant in docs/mutants.md, with the reason why nothing can notice it.

    >>> list(explained("### `a.py f`\\n\\n```diff\\n- 1\\n+ 2\\n```\\n\\nNobody reads it.\\n"))
    [('a.py f', '- 1\\n+ 2')]
    """
    found = {}
    for entry in ENTRY.finditer(text):
        reason = DIFF.sub("", entry["body"]).strip()
        for diff in DIFF.finditer(entry["body"]):
            title = entry["title"] if diff["place"] is None else f"{entry['title']} ({diff['place']})"
            found[title, diff["diff"]] = reason
    return found


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Numbers of verdicts by group, and their sum; `rows` are group and verdict of each mutant."""
    counts: dict[str, Counter[str]] = {}
    for group, verdict in rows:
        counts.setdefault(group, Counter())[verdict] += 1
    total: Counter[str] = sum(counts.values(), Counter())
    lines = [
        f"{'':<44} {'mutants':>7} {'killed':>7} {'equivalent':>10} {'survived':>8} {'untried':>7} {'kill rate':>9}"
    ]
    for group, own in [*counts.items(), ("all", total)]:
        lines.append(
            f"{group:<44} {own.total():>7} {own['killed']:>7} {own['equivalent']:>10} {own['survived']:>8} "
            f"{own['untried']:>7} {rate(own):>9}"
        )
    return "\n".join(lines)


def rate(counts: Counter[str]) -> str:
    """Killed among those tried that are not equivalent; rounded down, for 100 % means all of them."""
    of = counts["killed"] + counts["survived"]
    return f"{int(1000 * counts['killed'] / of) / 10:.1f} %" if of else "-"


def interval(killed: int, of: int) -> tuple[float, float]:
    """Between which two numbers, in percent, lies the rate of all mutants, by 95 % confidence from a random sample.

    E. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927: it holds for rates
    near 100 % too, where the textbook's would end above it.

    >>> [round(end, 1) for end in interval(95, 100)]
    [88.8, 97.8]
    """
    from scipy.stats import binomtest  # takes a second to import

    low, high = binomtest(killed, of).proportion_ci(method="wilson") if of else (0.0, 1.0)
    return 100 * float(low), 100 * float(high)
