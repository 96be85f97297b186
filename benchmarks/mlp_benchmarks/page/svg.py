"""Plots as SVG text: logarithmic axes, points, lines, labels; nothing but strings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c564b", "#7f7f7f", "#bcbd22", "#9467bd",
    "#17becf", "#444444", "#a6761d",
)  # fmt: skip
"""The first eight are M. Okabe and K. Ito's, which colour-blind readers can tell apart."""
WIDTH, HEIGHT = 620, 400
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 24, 48


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis: what it shows, and from where to where."""

    label: str
    low: float
    high: float

    @classmethod
    def around(cls, label: str, values: Sequence[float]) -> "Axis":
        """One with room for all of these positive values.

        >>> Axis.around("time", [3.0, 700.0])
        Axis(label='time', low=2.0, high=1000.0)
        """
        low, high = _round_down(min(values)), _round_up(max(values))
        return cls(label, low, high if high > low else _round_up(2 * low))

    def share(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    @property
    def ticks(self) -> list[float]:
        """1, 2, 5, 10, ... or, of long axes, powers of ten, or every second one."""
        decades = math.log10(self.high / self.low)
        steps = (1, 2, 5) if decades < 2.2 else (1,)
        stride = 2 if decades > 7 else 1
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        found = [step * 10.0**exponent for exponent in range(first, last + 1, stride) for step in steps]
        return [tick for tick in found if self.low * 0.999 <= tick <= self.high * 1.001]


@dataclass
class Plot:
    """A coordinate system that things are drawn into.

    >>> plot = Plot(Axis("n", 1, 10), Axis("time", 1, 100), "an example")
    >>> plot.point(2, 50, "#000", "a point")
    >>> plot.svg().count("<circle")
    1
    """

    x: Axis
    y: Axis
    title: str
    parts: list[str] = field(default_factory=list)

    def place(self, x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM),
        )

    def point(self, x: float, y: float, colour: str, words: str, radius: float = 4) -> None:
        """A dot that says `words` when pointed at."""
        cx, cy = self.place(x, y)
        title = f"<title>{escape(words)}</title>"
        self.parts.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:g}" fill="{colour}">{title}</circle>')

    def line(
        self, points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False, width: float = 1.5
    ) -> None:
        """Straight pieces from point to point."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in points))
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dash}/>')

    def label(self, x: float, y: float, words: str, *, anchor: str = "start", dx: float = 6, dy: float = -6) -> None:
        """Words beside a place."""
        px, py = self.place(x, y)
        self.parts.append(
            f'<text x="{px + dx:.1f}" y="{py + dy:.1f}" text-anchor="{anchor}" class="note">{escape(words)}</text>'
        )

    def svg(self) -> str:
        """The whole drawing."""
        frame = []
        for tick in self.x.ticks:
            px, _ = self.place(tick, self.y.low)
            frame.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>')
            frame.append(f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:,g}</text>')
        for tick in self.y.ticks:
            _, py = self.place(self.x.low, tick)
            frame.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py:.1f}" y2="{py:.1f}" class="grid"/>')
            frame.append(f'<text x="{LEFT - 6}" y="{py + 4:.1f}" text-anchor="end">{tick:,g}</text>')
        middle = (TOP + HEIGHT - BOTTOM) / 2
        center = (LEFT + WIDTH - RIGHT) / 2
        frame.append(f'<text x="{center}" y="{HEIGHT - 10}" text-anchor="middle">{escape(self.x.label)}</text>')
        turned = f"translate(14 {middle:.0f}) rotate(-90)"
        frame.append(f'<text transform="{turned}" text-anchor="middle">{escape(self.y.label)}</text>')
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">'
            f"<title>{escape(self.title)}</title>{''.join(frame)}{''.join(self.parts)}</svg>"
        )


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, the same ones in every plot."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def legend(colour_of: dict[str, str]) -> str:
    """The names with their colours, as HTML."""
    items = (f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in colour_of.items())
    return f'<p class="legend">{"".join(items)}</p>'


def diverging(ratio: float) -> str:
    """A colour for how many times as long something takes: blue below 1, red above, white at 1, full at ten times."""
    depth = min(1.0, abs(math.log10(ratio)))
    red, green, blue = (214, 96, 77) if ratio > 1 else (67, 147, 195)
    return f"rgb({255 - depth * (255 - red):.0f},{255 - depth * (255 - green):.0f},{255 - depth * (255 - blue):.0f})"


def _round_down(value: float) -> float:
    unit = 10.0 ** math.floor(math.log10(value))
    return max(step for step in (1, 2, 5) if step * unit <= value * 1.0001) * unit


def _round_up(value: float) -> float:
    unit = 10.0 ** math.floor(math.log10(value))
    return min(step for step in (1, 2, 5, 10, 20) if step * unit > value * 0.9999) * unit
