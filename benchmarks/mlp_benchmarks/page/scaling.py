"""The plots of `mlp-bench scaling`: steps a second along each axis, and the crossing points in words."""

from collections.abc import Sequence
from html import escape

from mlp_benchmarks.page.svg import Axis, Plot, legend
from mlp_benchmarks.page.training import contender_colours
from mlp_benchmarks.records import Record
from mlp_benchmarks.scaling import crossing_lines, curves


def scaling_section(records: Sequence[Record]) -> str:
    """One plot for each axis and number of threads."""
    colour_of = contender_colours(records)
    plots = []
    for (axis, threads), by_contender in curves(records).items():
        points = {
            name: [(float(value), 1e6 / record.median_us) for value, record in curve.items()]
            for name, curve in by_contender.items()
        }
        x = Axis.around(axis, [value for curve in points.values() for value, _ in curve])
        y = Axis.around("steps a second", [speed for curve in points.values() for _, speed in curve])
        plot = Plot(x, y, f"Steps a second over {axis}")
        for name, curve in points.items():
            plot.line(curve, colour_of[name])
            for value, speed in curve:
                plot.point(value, speed, colour_of[name], f"{name}: {axis} {value:g}, {speed:,.0f} steps a second", 3)
        some = "thread" if threads == 1 else "threads"
        plots.append(f"<figure>{plot.svg()}<figcaption>{axis}, {threads} {some}</figcaption></figure>")
    words = "".join(f"<li>{escape(line)}</li>" for line in crossing_lines(records))
    return f'<h2>Growth</h2><div class="plots">{"".join(plots)}</div>{legend(colour_of)}<ul class="notes">{words}</ul>'
