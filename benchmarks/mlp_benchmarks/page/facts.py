"""Records as a plain table, a column a field."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mlp_benchmarks.report import number


def facts_table(title: str, records: Sequence[Mapping[str, Any]]) -> str:
    """A heading and the table.

    >>> "<td>1.50</td>" in facts_table("T", [{"seconds": 1.5}])
    True
    """
    fields = list(dict.fromkeys(name for record in records for name in record))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in fields)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(_text(record.get(name)))}</td>' for name in fields)}</tr>" for record in records
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>{escape(title)}</h2><div class="wide">{table}</div>'


def _text(value: object) -> str:
    if value is None:
        return "-"
    return number(value) if isinstance(value, float) else str(value)
