"""`mlp-bench page`: one page from the records of several commands."""

from pathlib import Path

import click

from mlp_benchmarks.command import writable
from mlp_benchmarks.files import read_json
from mlp_benchmarks.page.document import write_page
from mlp_benchmarks.page.facts import facts_table
from mlp_benchmarks.page.gemm import gemm_section
from mlp_benchmarks.page.scaling import scaling_section
from mlp_benchmarks.records import read_report


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
    files = [records / name for name in ("gemm.json", "gemm-float64.json")]
    if products := [product for file in files if file.is_file() for product in read_json(file)["records"]]:
        sections.append(gemm_section(products))
    if (records / "population.json").is_file():
        sections.append(facts_table("Populations", read_json(records / "population.json")["records"]))
    if (records / "costs.json").is_file():
        costs = read_json(records / "costs.json")["records"]
        for title, what in (("Starting", "start"), ("Predicting", "predict")):
            sections.append(facts_table(title, [record for record in costs if record["what"] == what]))
    write_page(path, read_report(records / "compare.json"), sections)
    return 0
