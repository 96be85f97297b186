"""`mlp-bench table`: the README's table, written from a record of a real run and from nothing else."""

from collections.abc import Sequence
from pathlib import Path

import click

from mlp_benchmarks.records import Record, Report, read_report
from mlp_benchmarks.report import notes, number
from mlp_scratch.errors import DataFileError

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


@click.command("table")
@click.argument("record", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", "target", metavar="FILE", help="Put the table between the markers of this Markdown file.")
@click.option("--check", "checked", metavar="FILE", help="Fail if that file holds another table.")
def table_command(record: Path, target: str | None, checked: str | None) -> int:
    """Print the table of RECORD, a JSON file of `mlp-bench compare`, in Markdown; or write it, or check it.

    It stands in a file between the lines `<!-- bench:begin -->` and `<!-- bench:end -->`.
    """
    table = markdown_table(read_report(record))
    if target is None and checked is None:
        click.echo(table)
    if target is not None:
        file = Path(target)
        file.write_text(with_table(file, table), encoding="utf-8")
    if checked is not None and with_table(Path(checked), table) != Path(checked).read_text(encoding="utf-8"):
        click.echo(
            f"mlp-bench: {checked}: its table is not that of {record}; run: mlp-bench table {record} --write {checked}",
            err=True,
        )
        return 1
    return 0


def with_table(file: Path, table: str) -> str:
    """The text of `file` with `table` between its markers; raises `DataFileError` where they are missing."""
    text = file.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise DataFileError(f"{file}: got no pair of markers, expected one {BEGIN} and behind it one {END}")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def markdown_table(report: Report) -> str:
    """A row for each case and optimiser, a column for each contender: the median, and p10..p90 below it in small.

    The fastest of a row is bold.
    """
    contenders = list(dict.fromkeys(record.contender for record in report.records))
    rows: dict[tuple[str, str], list[Record]] = {}
    for record in report.records:
        rows.setdefault((record.case, record.optimizer), []).append(record)
    lines = [
        _line(["µs a step", "optimizer", "floor", *contenders]),
        _line(["---", "---", "---:", *["---:"] * len(contenders)]),
    ]
    for (_, optimizer), records in rows.items():
        first = records[0]
        name = f"`{first.case}` {'-'.join(map(str, first.widths))}, batch {first.batch}"
        floor = "-" if first.floor_us is None else number(first.floor_us)
        lines.append(_line([name, optimizer, floor, *(_cell(contender, records) for contender in contenders)]))
    rounds = sorted({record.rounds for record in report.records})
    how = f"medians and p10..p90 of {' or '.join(map(str, rounds))} interleaved rounds"
    return "\n".join([*lines, "", *(f"- {note}" for note in (how, *notes(report)))])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(contender: str, records: Sequence[Record]) -> str:
    record = next((record for record in records if record.contender == contender), None)
    if record is None:
        return "-"
    median = number(record.median_us)
    fastest = min(records, key=lambda each: each.median_us)
    shown = f"**{median}**" if record is fastest else median
    return f"{shown}<br><sub>{number(record.p10_us)}..{number(record.p90_us)}</sub>"
