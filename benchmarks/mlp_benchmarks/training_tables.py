"""Tables of training races in Markdown."""

from collections.abc import Sequence

from mlp_benchmarks.contenders import CONTROL, OURS
from mlp_benchmarks.records import Record, Report
from mlp_benchmarks.report import notes, number


def short_table(report: Report) -> str:
    """A row for each case and optimiser: `numba`, its multiple of the floor, and the two fastest frameworks.

    Behind each framework stands how many times as long it takes, with the 95 % interval. One table for each number
    of threads.
    """
    parts = []
    for threads in sorted({record.threads for record in report.records}):
        some = f"{threads} thread{'s' if threads > 1 else ''}"
        parts += [
            markdown_line(
                [f"{some}, µs a step", "optimizer", "numba", "x floor", "fastest framework", "second", "torch"]
            ),
            markdown_line(["---", "---", "---:", "---:", "---:", "---:", "---:"]),
        ]
        for race in _races(report.records, threads):
            by_name = {record.contender: record for record in race}
            ours, peers = by_name.get("numba"), [record for record in race if record.contender not in OURS]
            first, second = (*peers, None, None)[:2]
            multiple = f"{ours.median_us / ours.floor_us:.2f}" if ours and ours.floor_us else "-"
            cells = [_name(race[0]), race[0].optimizer, number(ours.median_us) if ours else "-", multiple]
            parts.append(markdown_line([*cells, _peer(first), _peer(second), _peer(by_name.get("torch"), named=False)]))
        parts.append("")
    return "\n".join([*parts, *(f"- {note}" for note in (_how(report), *notes(report)))])


def full_table(report: Report) -> str:
    """A row for each case and optimiser, a column for each contender: the median, and p10..p90 below it in small.

    The fastest of a row is bold.
    """
    parts = []
    for threads in sorted({record.threads for record in report.records}):
        own = [record for record in report.records if record.threads == threads and record.contender != CONTROL]
        contenders = list(dict.fromkeys(record.contender for record in own))
        some = f"{threads} thread{'s' if threads > 1 else ''}"
        parts += [
            markdown_line([f"{some}, µs a step", "optimizer", "floor", *contenders]),
            markdown_line(["---", "---", "---:", *["---:"] * len(contenders)]),
        ]
        for race in _races(own, threads):
            floor = next((number(record.floor_us) for record in race if record.floor_us), "-")
            cells = (_cell(contender, race) for contender in contenders)
            parts.append(markdown_line([_name(race[0]), race[0].optimizer, floor, *cells]))
        parts.append("")
    return "\n".join([*parts, *(f"- {note}" for note in (_how(report), *notes(report)))])


def _races(records: Sequence[Record], threads: int) -> list[list[Record]]:
    """The records of each case and optimiser, the fastest first."""
    races: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.threads == threads:
            races.setdefault((record.case, record.optimizer), []).append(record)
    return [sorted(race, key=lambda record: record.median_us) for race in races.values()]


def _how(report: Report) -> str:
    rounds = sorted({record.rounds for record in report.records})
    processes = sorted({record.processes for record in report.records})
    counts = f"{rounds[0]} to {rounds[-1]}" if len(rounds) > 1 else str(rounds[0])
    in_turn = "one process each" if processes == [1] else f"{' or '.join(map(str, processes))} processes each, in turn"
    return f"medians of {counts} interleaved rounds, {in_turn}, one running at a time; in brackets 95 % intervals"


def markdown_line(cells: Sequence[str]) -> str:
    """One row of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"


def _name(record: Record) -> str:
    return f"`{record.case}` {'-'.join(map(str, record.widths))}, batch {record.batch}"


def _peer(record: Record | None, *, named: bool = True) -> str:
    if record is None:
        return "-"
    name = f"{record.contender} " if named else ""
    if record.ratio is None or record.ratio_low is None or record.ratio_high is None:
        return f"{name}{number(record.median_us)}"
    interval = f"[{number(record.ratio_low)}, {number(record.ratio_high)}]"
    return f"{name}{number(record.median_us)}<br><sub>{number(record.ratio)}x {interval}</sub>"


def _cell(contender: str, race: Sequence[Record]) -> str:
    record = next((record for record in race if record.contender == contender), None)
    if record is None:
        return "-"
    median = number(record.median_us)
    shown = f"**{median}**" if record is race[0] else median
    return f"{shown}<br><sub>{number(record.p10_us)}..{number(record.p90_us)}</sub>"
