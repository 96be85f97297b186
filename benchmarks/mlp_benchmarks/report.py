"""The report on the terminal: a table, the machine, and who was not timed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlp_benchmarks.cases import CASES
from mlp_benchmarks.contenders import BASELINE, CONTROL, ONE_THREAD
from mlp_benchmarks.records import NotTimed, Record, Report

HEADER = ("case", "optimizer", "threads", "contender", "µs/step", "p10..p90", "x floor", "x numba", "loss gap")
LEFT = ("case", "optimizer", "contender", "layout")
"""The columns that are flush left; the others hold numbers."""
NOISY = 1.5
"""Rounds whose p90 is above so many times their p10 were disturbed."""
VAGUE = 1.1
"""An interval of the control that reaches beyond this cannot tell who is faster among the close."""


def table_rows(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """One row of text a record, in the columns of `HEADER`."""
    return [
        (
            record.case,
            record.optimizer,
            str(record.threads),
            record.contender,
            number(record.median_us),
            f"{number(record.p10_us)}..{number(record.p90_us)}",
            "-" if record.floor_us is None else f"{record.median_us / record.floor_us:.2f}",
            ratio_text(record),
            "-" if record.loss_gap is None else f"{record.loss_gap:.1e}",
        )
        for record in records
    ]


def ratio_text(record: Record) -> str:
    """How many times as long as `numba` it takes, with the interval."""
    if record.ratio is None or record.contender == BASELINE:
        return "1" if record.contender == BASELINE else "-"
    return f"{number(record.ratio)} [{number(record.ratio_low or 0)}, {number(record.ratio_high or 0)}]"


def number(value: float) -> str:
    """A time with three digits that matter, or all before the point.

    >>> number(0.8612), number(38.64), number(1910.4)
    ('0.861', '38.6', '1,910')
    """
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as aligned text, for pipes and files.

    >>> print(plain_table(("case", "µs/step"), [("digits", "79.1"), ("d2l", "1,910")]))
    case    µs/step
    digits     79.1
    d2l       1,910
    """
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if name in LEFT else text.rjust(width)
            for name, text, width in zip(header, line, widths, strict=True)
        )
        for line in lines
    )


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], groups: Sequence[object] = ()) -> None:
    """Print a table on standard output, with rich on a terminal; a line stands where the group of a row changes."""
    from rich.console import Console  # takes as long to import as the rest of the package
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        if rows:
            console.print(plain_table(header, rows), markup=False)
        return
    table = Table()
    for name in header:
        table.add_column(name, justify="left" if name in LEFT else "right")
    for i, row in enumerate(rows):
        last = bool(groups) and (i + 1 == len(rows) or groups[i] != groups[i + 1])
        table.add_row(*row, end_section=last)
    console.print(table)


def print_report(report: Report) -> None:
    """Print all of it on standard output."""
    import click

    groups = [(record.case, record.optimizer, record.threads) for record in report.records]
    print_table(HEADER, table_rows(report.records), groups)
    for line in notes(report):
        click.echo(line)


def notes(report: Report, *, floor: bool = True) -> list[str]:
    """What must be known to read the table, which may show no `floor`."""
    return [
        *machine_lines(report.machine, floor=floor),
        *data_lines(report.records),
        *one_thread_lines(report.records),
        *noise_lines(report.records),
        *not_timed_lines(report.not_timed),
    ]


def machine_lines(machine: Mapping[str, Any], *, floor: bool = False) -> list[str]:
    """What it ran on, what the peaks are, and for a table that shows it, what the floor is."""
    cpu, versions, peaks = machine.get("cpu", {}), machine.get("versions", {}), machine.get("peaks", {})
    cores = cpu.get("cores", {}).get("usable", "?")
    blas = [f"{each['library']} {each['version']} for {each['architecture']}" for each in machine.get("blas", ())]
    lines = [
        f"machine: {cpu.get('model')}, {cpu.get('simd')}, {cores} cores; "
        + ", ".join([f"{name} {version}" for name, version in versions.items() if version] + blas)
    ]
    if machine.get("bound_to") == {}:  # records of older versions say nothing
        lines.append(
            "not bound: this system binds no process to processors, and jax, jax-scan and keras take all there are"
        )
    if peaks:
        rates = "; ".join(
            f"{threads} threads {each['gflops']:.1f} GFLOP/s and {each['gbytes_per_second']:.1f} GB/s"
            for threads, each in peaks.items()
        ).replace("1 threads", "1 thread")
        meaning = "; the floor is a step's arithmetic or memory traffic at these rates, whichever takes longer"
        lines.append(f"measured peaks: {rates}{meaning if floor else ''}")
    else:
        lines.append(f"no {'floor' if floor else 'peaks'}: the peaks could not be measured ({machine.get('no_peaks')})")
    return lines


def data_lines(records: Sequence[Record]) -> list[str]:
    """A line where MNIST was wanted and is not here."""
    if any(record.data == "random" and record.case in CASES for record in records):
        return ["data: random pixels in place of MNIST, which is not here (set MLP_SCRATCH_DATA)"]
    return []


def one_thread_lines(records: Sequence[Record]) -> list[str]:
    """A line for each contender that had several threads and took one of them."""
    found = dict.fromkeys(each.contender for each in records if each.contender in ONE_THREAD and each.threads > 1)
    return [f"threads: {name} runs on one, whatever the number" for name in found]


def noise_lines(records: Sequence[Record]) -> list[str]:
    """A warning where rounds of the same work took very different times, or the control was not level."""
    lines = []
    noisy = [record for record in records if record.p90_us > NOISY * record.p10_us]
    if noisy:
        lines.append(
            f"noisy: {len(noisy)} of {len(records)} rows have a p90 above {NOISY:g} times their p10; small differences "
            "mean nothing here: repeat it on an idle machine, or with more --rounds"
        )
    controls = [record for record in records if record.contender == CONTROL and record.ratio is not None]
    level = [each for each in controls if (each.ratio_low or 0) <= 1 <= (each.ratio_high or 0)]
    if controls:
        lines.append(
            f"control: {BASELINE} beside itself is level, its interval holding 1, in {len(level)} of {len(controls)} "
            "races"
        )
    vague = [each for each in controls if (each.ratio_high or 0) > VAGUE or (each.ratio_low or 0) < 1 / VAGUE]
    if vague:
        lines.append(
            f"noisy: in {len(vague)} of {len(controls)} races the control's interval reaches beyond "
            f"{1 / VAGUE:.2f}..{VAGUE:g}: it cannot tell who is faster among the close"
        )
    return lines


def not_timed_lines(entries: Iterable[NotTimed]) -> list[str]:
    """One line a contender and reason, with the cases that it is about.

    >>> rows = [{"case": case, "optimizer": "sgd", "threads": 1, "loss_gap": None} for case in ("digits", "d2l")]
    >>> not_timed_lines(NotTimed(contender="jax", status="skipped", reason="not installed", **row) for row in rows)
    ['skipped: jax: not installed (digits sgd, d2l sgd)']
    """
    groups: dict[str, list[str]] = {}
    for entry in entries:
        gap = f", loss gap {entry.loss_gap:.1e}" if entry.status == "wrong" and entry.loss_gap is not None else ""
        line = f"{entry.status}: {entry.contender}: {entry.reason}{gap}"
        where = groups.setdefault(line, [])
        if (race := f"{entry.case} {entry.optimizer}") not in where:
            where.append(race)
    few = 4
    return [
        f"{line} ({', '.join(where) if len(where) <= few else f'{len(where)} races'})" for line, where in groups.items()
    ]
