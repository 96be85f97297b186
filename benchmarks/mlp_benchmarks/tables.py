"""`mlp-bench table`: the tables of README and docs, written from the records of real runs and from nothing else."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mlp_benchmarks.files import read_json
from mlp_benchmarks.random_shapes import slower_lines
from mlp_benchmarks.records import Report, read_report
from mlp_benchmarks.report import machine_lines, notes, number
from mlp_benchmarks.scaling import crossing_lines, curves
from mlp_benchmarks.training_tables import full_table, markdown_line, short_table
from mlp_scratch.errors import DataFileError

BEGIN, END = "<!-- bench:{}:begin -->", "<!-- bench:{}:end -->"
MARKED = re.compile(r"<!-- bench:(\w+):begin -->\n(.*?)<!-- bench:\1:end -->", re.DOTALL)
ANY_MARKER = re.compile(r"<!-- bench:\w+:\w+ -->")
MISSING = "Not measured on this machine yet."


@click.command("table")
@click.argument("records", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--write", "targets", metavar="FILE", multiple=True, help="Fill the markers of this Markdown file.")
@click.option("--check", "checked", metavar="FILE", multiple=True, help="Fail if that file holds other tables.")
def table_command(records: Path, targets: Sequence[str], checked: Sequence[str]) -> int:
    """Make the tables of Markdown files from RECORDS, a folder with what the other commands wrote.

    A table called NAME stands between the lines `<!-- bench:NAME:begin -->` and `<!-- bench:NAME:end -->`. Its names:
    short and full (compare.json), gemm, gemm_float64 (gemm-float64.json), population, scaling, random (random.json),
    starts, first_start, a sentence, and predictions (costs.json). Both options may be given several times; without any,
    all tables are printed.
    """
    if not targets and not checked:
        for name in TABLES:
            click.echo(f"{name}\n\n{_table(name, records)}\n")
    for target in targets:
        file = Path(target)
        file.write_text(with_tables(file, records), encoding="utf-8")
    wrong = [each for each in checked if with_tables(Path(each), records) != Path(each).read_text(encoding="utf-8")]
    for each in wrong:
        click.echo(
            f"mlp-bench: {each}: its tables are not those of {records}; run: mlp-bench table {records} --write {each}",
            err=True,
        )
    return 1 if wrong else 0


def with_tables(file: Path, records: Path) -> str:
    """The text of `file` with a table between each pair of markers; raises `DataFileError` where they are not right."""
    text = file.read_text(encoding="utf-8")
    names = [match[1] for match in MARKED.finditer(text)]
    if not names or len(ANY_MARKER.findall(text)) != 2 * len(names):
        raise DataFileError(
            f"{file}: got markers without a partner, or none, expected lines {BEGIN.format('NAME')} and behind each "
            f"{END.format('NAME')}"
        )
    for name in names:
        if name not in TABLES:
            raise DataFileError(f"{file}: got a table called {name!r}, expected one of {', '.join(TABLES)}")
    return MARKED.sub(
        lambda match: f"{BEGIN.format(match[1])}\n{_table(match[1], records)}\n{END.format(match[1])}", text
    )


def _table(name: str, records: Path) -> str:
    file, make = TABLES[name]
    return make(records / file) if (records / file).is_file() else MISSING


def _gemm(path: Path) -> str:
    contents = _contents(path)
    groups: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for record in contents["records"]:
        key = tuple(record[name] for name in ("threads", "layout", "m", "n", "k"))
        groups.setdefault(key, {})[record["contender"]] = record
    names = list(dict.fromkeys(record["contender"] for record in contents["records"]))
    rows = []
    for (threads, layout, m, n, k), by_name in groups.items():
        rest = [_share(by_name.get(name)) for name in names]
        rows.append([str(threads), layout, f"{m} x {n} x {k}", *rest])
    head = ["threads", "layout", "M x N x K", *(f"{name}, GFLOP/s" for name in names)]
    return _markdown(head, rows, contents, left=3)


def _share(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "-"
    peak = record["peak_gflops"]
    return number(record["gflops"]) + (f" ({record['gflops'] / peak:.0%} of peak)" if peak else "")


def _population(path: Path) -> str:
    contents = _contents(path)
    rows = [
        [
            *(str(record[name]) for name in ("networks", "epochs", "threads", "contender")),
            number(record["median_s"]),
            f"{number(record['p10_s'])}..{number(record['p90_s'])}",
            _ratio(record),
        ]
        for record in contents["records"]
    ]
    return _markdown(
        ["networks", "epochs", "threads", "contender", "seconds", "p10..p90", "x numba"], rows, contents, 4
    )


def _starts(path: Path) -> str:
    contents = _contents(path)
    rows = [
        [
            *(record["case"], record["contender"]),
            *(number(record[name]) for name in ("cold_s", "warm_s", "compile_s", "memory_mb")),
            f"{number(record['target_s'])} ({record['target']:.0%} after {record['target_steps']} steps)",
        ]
        for record in contents["records"]
        if record["what"] == "start"
    ]
    head = ["case", "contender", "cold start, s", "warm start, s", "compiling, s", "memory, MB", "warm, to accuracy, s"]
    return _markdown(head, rows, contents, 2)


def _first_start(path: Path) -> str:
    records = _contents(path)["records"]
    ours = [record for record in records if (record["what"], record["contender"]) == ("start", "numba")]
    if not ours:
        raise DataFileError(f"{path}: got no start of numba, expected one; measure it again, to its end")
    return (
        f"A process that finds no kernels on disk takes {number(ours[0]['cold_s'])} seconds until it has taken the "
        f"first step of `{ours[0]['case']}`, and the next one {number(ours[0]['warm_s'])}."
    )


def _predictions(path: Path) -> str:
    contents = _contents(path)
    rows = [
        [
            *(record["case"], record["contender"], number(record["latency_us"])),
            f"{number(record['latency_p10_us'])}..{number(record['latency_p90_us'])}",
            number(record["samples_per_second"]),
        ]
        for record in contents["records"]
        if record["what"] == "predict"
    ]
    head = ["case", "contender", "µs for one sample", "p10..p90", "samples a second, 10,000 at a time"]
    return _markdown(head, rows, contents, 2)


def _scaling(path: Path) -> str:
    report = _report(path)
    parts = []
    for (axis, threads), by_contender in curves(report.records).items():
        values = sorted({value for curve in by_contender.values() for value in curve})
        some = f"{threads} thread{'s' if threads > 1 else ''}"
        parts.append(markdown_line([f"steps a second, {some}", *(f"{axis} {value}" for value in values)]))
        parts.append(markdown_line(["---", *["---:"] * len(values)]))
        for name, curve in by_contender.items():
            speeds = (number(1e6 / curve[value].median_us) if value in curve else "-" for value in values)
            parts.append(markdown_line([name, *speeds]))
        parts.append("")
    lines = [*crossing_lines(report.records), *notes(report, floor=False)]
    return "\n".join([*parts, *(f"- {line}" for line in lines)])


def _random(path: Path) -> str:
    report = _report(path)
    return "\n".join(f"- {line}" for line in (*slower_lines(report.records), *notes(report, floor=False)))


def _ratio(record: Mapping[str, Any]) -> str:
    if record["ratio"] is None:
        return "-"
    return f"{number(record['ratio'])} [{number(record['ratio_low'])}, {number(record['ratio_high'])}]"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]], contents: Mapping[str, Any], left: int) -> str:
    rule = ["---" if i < left else "---:" for i in range(len(head))]
    lines = [markdown_line(cells) for cells in (head, rule, *rows)]
    return "\n".join([*lines, "", *(f"- {line}" for line in machine_lines(contents["machine"]))])


def _contents(path: Path) -> dict[str, Any]:
    contents = read_json(path)
    _check_any(path, contents["records"])
    return contents


def _report(path: Path) -> Report:
    report = read_report(path)
    _check_any(path, report.records)
    return report


def _check_any(path: Path, records: Sequence[Any]) -> None:
    if not records:
        raise DataFileError(f"{path}: got no records, expected some; measure it again, to its end")


TABLES: dict[str, tuple[str, Callable[[Path], str]]] = {
    "short": ("compare.json", lambda path: short_table(_report(path))),
    "full": ("compare.json", lambda path: full_table(_report(path))),
    "gemm": ("gemm.json", _gemm),
    "gemm_float64": ("gemm-float64.json", _gemm),
    "population": ("population.json", _population),
    "scaling": ("scaling.json", _scaling),
    "random": ("random.json", _random),
    "starts": ("costs.json", _starts),
    "first_start": ("costs.json", _first_start),
    "predictions": ("costs.json", _predictions),
}
"""Each table's file, and what makes it."""
