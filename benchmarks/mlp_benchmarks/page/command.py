"""`mlp-bench page`: one page from the records of several commands."""

import json
from pathlib import Path
from typing import Any

import click

from mlp_benchmarks.command import writable
from mlp_benchmarks.page.document import write_page
from mlp_benchmarks.page.facts import facts_table
from mlp_benchmarks.page.gemm import gemm_section
from mlp_benchmarks.page.scaling import scaling_section
from mlp_benchmarks.records import SCHEMA, read_report
from mlp_scratch.errors import DataFileError


@click.command("page")
@click.argument("records", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, metavar="FILE", help="The page to write.")
def page_command(records: Path, out: str) -> int:
    """Write one HTML page from RECORDS, a folder with what the other commands wrote, compare.json at least."""
    path = writable("out", out)
    assert path is not None
    sections = []
    if (records / "scaling.json").is_file():
        sections.append(scaling_section(read_report(records / "scaling.json").records))
    if (records / "gemm.json").is_file():
        sections.append(gemm_section(_records(records / "gemm.json")))
    if (records / "population.json").is_file():
        sections.append(facts_table("Populations", _records(records / "population.json")))
    if (records / "costs.json").is_file():
        costs = _records(records / "costs.json")
        for title, what in (("Starting", "start"), ("Predicting", "predict")):
            sections.append(facts_table(title, [record for record in costs if record["what"] == what]))
    write_page(path, read_report(records / "compare.json"), sections)
    return 0


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        if contents["schema"] != SCHEMA:
            raise ValueError("another schema")
        return list(contents["records"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataFileError(f"{path}: got {error!r}, expected a record of `mlp-bench`, schema {SCHEMA}") from None
