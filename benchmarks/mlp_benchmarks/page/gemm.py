"""The plot of `mlp-bench gemm`: the share of the peak that each square product reaches."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mlp_benchmarks.page.svg import colours, legend

BAR, GAP, GROUP_GAP, HEIGHT, LEFT = 9, 2, 12, 220, 46


def gemm_section(records: Sequence[Mapping[str, Any]]) -> str:
    """Bars, a group a product."""
    shown = [record for record in records if record["peak_gflops"]]
    colour_of = colours(sorted({record["contender"] for record in shown}, key=str))
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for record in shown:
        groups.setdefault((record["dtype"], record["threads"], record["layout"]), []).append(record)
    figures = []
    for (dtype, threads, layout), own in groups.items():
        products: dict[str, dict[str, Mapping[str, Any]]] = {}
        for record in own:
            m, n, k = record["m"], record["n"], record["k"]
            products.setdefault(f"{n}" if m == n == k else f"{m}x{n}x{k}", {})[record["contender"]] = record
        figures.append(
            f"<figure>{_bars(products, colour_of)}<figcaption>{escape(dtype)}, {escape(layout)}, {threads} "
            f"thread{'s' if threads > 1 else ''}: % of the measured peak</figcaption></figure>"
        )
    return f'<h2>Matrix products</h2>{legend(colour_of)}<div class="plots">{"".join(figures)}</div>'


def _bars(products: Mapping[str, Mapping[str, Mapping[str, Any]]], colour_of: Mapping[str, str]) -> str:
    parts, x = [], LEFT + GROUP_GAP
    for name, by_contender in products.items():
        start = x
        for contender, colour in colour_of.items():
            if contender in by_contender:
                record = by_contender[contender]
                share = record["gflops"] / record["peak_gflops"]
                height = HEIGHT * min(share, 1.1) / 1.1
                parts.append(
                    f'<rect x="{x}" y="{HEIGHT - height:.1f}" width="{BAR}" height="{height:.1f}" fill="{colour}">'
                    f"<title>{escape(contender)} {escape(name)}: {100 * share:.0f} %</title></rect>"
                )
            x += BAR + GAP
        where = f"translate({(start + x) / 2 + 4:.0f} {HEIGHT + 8}) rotate(-45)"
        parts.append(f'<text transform="{where}" text-anchor="end">{escape(name)}</text>')
        x += GROUP_GAP
    for percent in (0, 25, 50, 75, 100):
        y = HEIGHT * (1 - percent / 110)
        parts.append(f'<line x1="{LEFT}" x2="{x}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent}</text>')
    return (
        f'<svg viewBox="0 0 {max(x, 560)} {HEIGHT + 80}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>Share of the peak</title>{''.join(parts)}</svg>"
    )
