"""The plots of `mlp-bench compare`: time against floor, ratios, roofline."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mlp_benchmarks.contenders import BASELINE, CONTENDERS, CONTROL, OURS
from mlp_benchmarks.page.svg import Axis, Plot, colours, diverging, legend
from mlp_benchmarks.records import Record
from mlp_benchmarks.report import number, ratio_text


def contender_colours(records: Sequence[Record]) -> dict[str, str]:
    """A colour for each contender that was timed; the control, which is ours again, has none."""
    present = {record.contender for record in records} - {CONTROL}
    found = colours([name for name in CONTENDERS if name != CONTROL])
    return {name: colour for name, colour in found.items() if name in present}


def floor_plot(records: Sequence[Record]) -> str:
    """Time against floor, both logarithmic: the diagonal is the best that the machine can do."""
    shown = [record for record in records if record.floor_us and record.contender != CONTROL]
    if not shown:
        return ""
    colour_of = contender_colours(shown)
    x = Axis.around("floor, µs a step", [record.floor_us or 0 for record in shown])
    y = Axis.around("measured, µs a step", [*(record.median_us for record in shown), x.low, x.high])
    plot = Plot(x, y, "Time of a training step against the least it can take")
    plot.line([(x.low, x.low), (x.high, x.high)], "currentColor", dashed=True)
    plot.label(x.high, x.high, "the floor", anchor="end", dx=-40, dy=36)
    for name, colour in colour_of.items():
        own = sorted((r.floor_us or 0, r.median_us, r) for r in shown if r.contender == name and r.optimizer == "sgd")
        if len(own) > 1:
            plot.line([(floor, median) for floor, median, _ in own], colour, width=2.5 if name == BASELINE else 1)
    for record in shown:
        plot.point(record.floor_us or 0, record.median_us, colour_of[record.contender], _words(record))
    return f"<figure>{plot.svg()}{legend(colour_of)}<figcaption>Each dot is a case with one optimiser; lines join \
SGD's. What lies on the dashed line cannot be beaten on this machine.</figcaption></figure>"


def heat_map(records: Sequence[Record]) -> str:
    """A table of ratios over case and contender: how many times as long as `numba` each takes."""
    names = [name for name in contender_colours(records) if name != BASELINE]
    races: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        races.setdefault((record.case, record.optimizer), {})[record.contender] = record
    rows = []
    for (case, optimizer), race in races.items():
        cells = []
        for name in names:
            found = race.get(name)
            if found is None or found.ratio is None:
                cells.append('<td class="none">-</td>')
                continue
            cells.append(
                f'<td style="background:{diverging(found.ratio)}" title="{escape(ratio_text(found))}">'
                f"{number(found.ratio)}</td>"
            )
        rows.append(f"<tr><th>{escape(case)}</th><th>{escape(optimizer)}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    return (
        f'<table class="heat"><thead><tr><th>case</th><th>optimiser</th>{head}</tr></thead><tbody>{"".join(rows)}'
        "</tbody></table><p class=caption>Times as long as <b>numba</b>, paired by round: red is slower than this "
        "engine, blue is faster. Point at a cell for its 95&nbsp;% interval.</p>"
    )


def roofline(records: Sequence[Record], peaks: Mapping[str, Any] | None) -> str:
    """Achieved arithmetic against operations a byte of memory traffic, under the roof of the measured peaks."""
    shown = [record for record in records if record.contender == BASELINE or record.contender not in OURS]
    if not peaks or not shown:
        return ""
    colour_of = contender_colours(shown)
    speed = {id(record): record.flops_per_step / record.median_us / 1e3 for record in shown}
    ridge = peaks["gflops"] / peaks["gbytes_per_second"]
    x = Axis.around("operations a byte", [*(r.flops_per_step / r.bytes_per_step for r in shown), ridge])
    roof = [(x.low, x.low * peaks["gbytes_per_second"]), (ridge, peaks["gflops"]), (x.high, peaks["gflops"])]
    y = Axis.around("GFLOP/s", [*speed.values(), *(height for _, height in roof)])
    plot = Plot(x, y, "Roofline")
    plot.line(roof, "currentColor", width=2)
    plot.label(x.high, peaks["gflops"], f"{peaks['gflops']:.0f} GFLOP/s measured", anchor="end", dx=-4, dy=-6)
    for record in shown:
        plot.point(
            record.flops_per_step / record.bytes_per_step,
            speed[id(record)],
            colour_of[record.contender],
            _words(record),
        )
    return f"<figure>{plot.svg()}{legend(colour_of)}<figcaption>The sloping part of the roof is memory bandwidth: \
parameters that stay in a cache from step to step may rise above it.</figcaption></figure>"


def record_table(records: Sequence[Record]) -> str:
    """Every number, for those who do not trust plots."""
    head = (
        "case",
        "optimiser",
        "contender",
        "µs a step",
        "p10..p90",
        "x floor",
        "x numba [95 %]",
        "rounds",
        "loss gap",
    )
    rows = []
    for record in records:
        cells = (
            record.case,
            record.optimizer,
            record.contender,
            number(record.median_us),
            f"{number(record.p10_us)}..{number(record.p90_us)}",
            "-" if record.floor_us is None else f"{record.median_us / record.floor_us:.2f}",
            ratio_text(record),
            f"{record.rounds} in {record.processes}",
            "-" if record.loss_gap is None else f"{record.loss_gap:.0e}",
        )
        rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _words(record: Record) -> str:
    return f"{record.contender}: {record.case}, {record.optimizer}, {number(record.median_us)} µs"
