"""The parts put together, and the words between them."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from mlp_benchmarks.page.training import floor_plot, heat_map, record_table, roofline
from mlp_benchmarks.records import Report
from mlp_benchmarks.report import notes

STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1060px; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1.5rem; }
figure { margin: 0; max-width: 640px; } figcaption, .caption, .notes { font-size: 14px; opacity: .8; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: currentColor; }
svg .note { font-style: italic; } .grid { stroke: var(--line); }
.legend span { margin-right: 1em; white-space: nowrap; font-size: 14px; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .35em; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
td, th { padding: .2em .7em; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; } tbody th, td:first-child, td:nth-child(2) { text-align: left; }
.heat td { color: #111; text-align: right !important; } .heat td.none { color: inherit; opacity: .5; }
details { margin: 1.5rem 0; } summary { cursor: pointer; }
"""


def write_page(path: Path, report: Report, more: Sequence[str] = ()) -> None:
    """Write the page of a comparison, with further sections of HTML behind it."""
    threads = sorted({record.threads for record in report.records})
    sections = [_section(report, count) for count in threads]
    facts = "".join(f"<li>{escape(note)}</li>" for note in notes(report))
    path.write_text(
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>How fast is a framework?</title><style>{STYLE}</style></head><body>"
        "<h1>How fast is a framework, and when?</h1>"
        "<p>Every contender trained the same networks from the same weights on the same batches in the same order. Its "
        "losses were compared with a float64 reference before it was timed and in every timed round. Contenders took "
        "turns, one running at a time, the others stopped.</p>"
        f'<ul class="notes">{facts}</ul>{"".join(sections)}{"".join(more)}</body></html>\n',
        encoding="utf-8",
    )


def _section(report: Report, threads: int) -> str:
    records = [record for record in report.records if record.threads == threads]
    peaks = report.machine.get("peaks", {}).get(str(threads))
    return (
        f"<h2>{threads} thread{'s' if threads > 1 else ''}</h2>"
        f'<div class="wide">{heat_map(records)}</div>'
        f'<div class="plots">{floor_plot(records)}{roofline(records, peaks)}</div>'
        f'<details><summary>All {len(records)} rows</summary><div class="wide">{record_table(records)}</div></details>'
    )
