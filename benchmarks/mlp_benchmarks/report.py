"""The report on the terminal: a table, the machine, and who was not timed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlp_benchmarks.records import NotTimed, Record, Report

HEADER = ("case", "optimizer", "contender", "µs/step", "p10..p90", "x floor", "x fastest", "loss gap")
NAMES = 3
"""The first columns hold names and are flush left; the others hold numbers."""
NOISY = 1.5
"""Rounds whose p90 is above so many times their p10 were disturbed."""


def table_rows(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """One row of text a record, in the columns of `HEADER`."""
    return [
        (
            record.case,
            record.optimizer,
            record.contender,
            number(record.median_us),
            f"{number(record.p10_us)}..{number(record.p90_us)}",
            "-" if record.floor_us is None else f"{record.median_us / record.floor_us:.2f}",
            f"{record.x_fastest:.2f}",
            "-" if record.loss_gap is None else f"{record.loss_gap:.1e}",
        )
        for record in records
    ]


def number(value: float) -> str:
    """A time with three digits that matter, or all before the point.

    >>> number(0.8612), number(38.64), number(1910.4)
    ('0.861', '38.6', '1,910')
    """
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{decimals}f}"


def plain_table(rows: Sequence[tuple[str, ...]]) -> str:
    """The table as aligned text, for pipes and files.

    >>> print(plain_table([("digits", "sgd", "numpy", "79.1", "78..81", "28", "7", "1e-7")]))
    case    optimizer  contender  µs/step  p10..p90  x floor  x fastest  loss gap
    digits  sgd        numpy         79.1    78..81       28          7      1e-7
    """
    lines = [HEADER, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i < NAMES else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def print_report(report: Report) -> None:
    """Print all of it on standard output: with rich on a terminal, as plain text elsewhere."""
    from rich.console import Console  # takes as long to import as the rest of the package

    console = Console(highlight=False, soft_wrap=True)
    rows = table_rows(report.records)
    if console.is_terminal:
        console.print(_rich_table(report.records, rows))
    elif rows:
        console.print(plain_table(rows), markup=False)
    for line in notes(report):
        console.print(line, markup=False)


def notes(report: Report) -> list[str]:
    """What must be known to read the table."""
    return [
        *machine_lines(report.machine, report.records),
        *noise_lines(report.records),
        *not_timed_lines(report.not_timed),
    ]


def _rich_table(records: Sequence[Record], rows: Sequence[tuple[str, ...]]) -> Any:
    from rich.table import Table

    table = Table(*HEADER[:NAMES])
    for name in HEADER[NAMES:]:
        table.add_column(name, justify="right")
    for i, (record, row) in enumerate(zip(records, rows, strict=True)):
        following = records[i + 1] if i + 1 < len(records) else None
        last = following is None or (following.case, following.optimizer) != (record.case, record.optimizer)
        table.add_row(*row, end_section=last)
    return table


def machine_lines(machine: Mapping[str, Any], records: Sequence[Record]) -> list[str]:
    """What it ran on, and what the peaks are."""
    cpu, versions, peaks = machine.get("cpu", {}), machine.get("versions", {}), machine.get("peaks")
    cores = cpu.get("cores", {}).get("usable", "?")
    lines = [
        f"machine: {cpu.get('model')}, {cpu.get('simd')}, {machine['threads']} of {cores} cores; "
        + ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    ]
    if peaks:
        lines.append(
            f"measured peaks: {peaks['gflops']:.1f} GFLOP/s in float32, {peaks['gbytes_per_second']:.1f} GB/s from "
            "memory; the floor is a step's arithmetic or memory traffic at these rates, whichever takes longer"
        )
    else:
        lines.append(f"no floor: the peaks could not be measured ({machine.get('no_peaks')})")
    if any(record.data == "random" for record in records):
        lines.append("data: random pixels in place of MNIST, which is not here (set MLP_SCRATCH_DATA)")
    return lines


def noise_lines(records: Sequence[Record]) -> list[str]:
    """A warning where rounds of the same work took very different times: something else was running."""
    noisy = [record for record in records if record.p90_us > NOISY * record.p10_us]
    if not noisy:
        return []
    return [
        f"noisy: {len(noisy)} of {len(records)} rows have a p90 above {NOISY:g} times their p10; small differences "
        "mean nothing here: repeat it on an idle machine, or with more --rounds"
    ]


def not_timed_lines(entries: Iterable[NotTimed]) -> list[str]:
    """One line a contender and reason, with the cases that it is about.

    >>> cases = [{"case": case, "optimizer": "sgd", "threads": 1, "loss_gap": None} for case in ("digits", "d2l")]
    >>> not_timed_lines(NotTimed(contender="jax", status="skipped", reason="not installed", **row) for row in cases)
    ['skipped: jax: not installed (digits sgd, d2l sgd)']
    """
    groups: dict[str, list[str]] = {}
    for entry in entries:
        gap = f", loss gap {entry.loss_gap:.1e}" if entry.status == "wrong" and entry.loss_gap is not None else ""
        line = f"{entry.status}: {entry.contender}: {entry.reason}{gap}"
        groups.setdefault(line, []).append(f"{entry.case} {entry.optimizer}")
    return [f"{line} ({', '.join(where)})" for line, where in groups.items()]
