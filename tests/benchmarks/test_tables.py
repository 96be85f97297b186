import json
from dataclasses import replace

import pytest

from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.records import Report, make_records
from mlp_benchmarks.tables import MISSING, TABLES
from mlp_benchmarks.training_tables import full_table, short_table
from mlp_scratch.errors import DataFileError

MACHINE = {
    "cpu": {"model": "A CPU", "simd": "AVX2+FMA"},
    "threads": [1],
    "peaks": {"1": {"gflops": 1.0, "gbytes_per_second": 10.0}},
    "no_peaks": "",
}


def timed(name, seconds):
    return Lane(name, Entry(""), status="timed", steps=1, seconds=[[seconds, seconds]], gap=0.0)


@pytest.fixture
def report(digits):
    lanes = [timed(name, time) for name, time in (("numba", 1e-3), ("control", 1e-3), ("jax", 2e-3), ("torch", 3e-3))]
    return Report(MACHINE, make_records(digits, lanes, MACHINE))


@pytest.fixture
def folder(report, tmp_path):
    report.write(tmp_path / "compare.json")
    return tmp_path


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(
        "# Title\n\n<!-- bench:short:begin -->\nstale\n<!-- bench:short:end -->\n\nthe rest\n"
        "<!-- bench:gemm:begin -->\n<!-- bench:gemm:end -->\n",
        encoding="utf-8",
    )
    return file


def test_write_then_check(folder, readme, capsys):
    assert main(["table", str(folder), "--check", str(readme)]) == 1
    assert "its tables are not those of" in capsys.readouterr().err
    assert main(["table", str(folder), "--write", str(readme)]) == 0
    assert main(["table", str(folder), "--check", str(readme)]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n<!-- bench:short:begin -->\n| 1 thread, µs a step |")
    assert "\n<!-- bench:short:end -->\n\nthe rest\n" in text
    assert f"<!-- bench:gemm:begin -->\n{MISSING}\n<!-- bench:gemm:end -->" in text
    assert "stale" not in text


def test_a_changed_digit_is_found(folder, readme):
    main(["table", str(folder), "--write", str(readme)])
    readme.write_text(readme.read_text(encoding="utf-8").replace("1,000", "1,001"), encoding="utf-8")
    assert main(["table", str(folder), "--check", str(readme)]) == 1


def test_the_short_table(report):
    header, rule, row, *_ = short_table(report).splitlines()
    assert header == "| 1 thread, µs a step | optimizer | numba | x floor | fastest framework | second | torch |"
    assert rule == "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    jax, torch = "2,000<br><sub>2.00x [2.00, 2.00]</sub>", "3,000<br><sub>3.00x [3.00, 3.00]</sub>"
    floor = 323_584 / 1e9 * 1e6
    assert row == (
        f"| `digits` 64-32-10, batch 32 | sgd | 1,000 | {1000 / floor:.2f} | jax {jax} | torch {torch} | {torch} |"
    )


def test_the_full_table(report):
    header, rule, row, *_ = full_table(report).splitlines()
    assert header == "| 1 thread, µs a step | optimizer | floor | numba | jax | torch |"
    assert rule == "| --- | --- | ---: | ---: | ---: | ---: |"
    assert row.startswith(
        "| `digits` 64-32-10, batch 32 | sgd | 324 | **1,000**<br><sub>1,000..1,000</sub> | 2,000<br>"
    )


def test_the_sentence_of_the_first_start(tmp_path):
    file, make = tmp_path / "costs.json", TABLES["first_start"][1]
    ours = {"what": "start", "case": "digits", "contender": "numba", "cold_s": 9.0, "warm_s": 0.5}
    others = [ours | {"contender": "torch", "cold_s": 1.0}, {"what": "predict", "case": "d2l", "contender": "numba"}]
    contents = {"schema": 1, "machine": MACHINE, "records": others}
    file.write_text(json.dumps(contents), encoding="utf-8")
    with pytest.raises(DataFileError, match="no start of numba"):
        make(file)
    file.write_text(json.dumps(contents | {"records": [*others, ours]}), encoding="utf-8")
    assert make(file) == (
        "A process that finds no kernels on disk takes 9.00 seconds until it has taken the first step of `digits`, and "
        "the next one 0.500."
    )


def test_each_number_of_threads_has_its_table(report):
    report.records += [replace(record, threads=2) for record in report.records]
    for table in (short_table(report), full_table(report)):
        assert table.count("| optimizer |") == 2
        assert "| 2 threads, µs a step |" in table


def test_a_contender_without_a_time_has_a_dash(digits):
    ours, peers = ([timed(name, 1.0)] for name in ("numba", "torch"))
    records = make_records(digits, ours, MACHINE)
    records += [replace(record, optimizer="adam") for record in make_records(digits, peers, MACHINE)]
    _, _, sgd, adam, *_ = full_table(Report(MACHINE, records)).splitlines()
    assert sgd.endswith("| - |")
    assert adam.split(" | ")[3] == "-"
    _, _, sgd, adam, *_ = short_table(Report(MACHINE, records)).splitlines()
    assert sgd.endswith("| - | - | - |")
    assert adam.split(" | ")[2] == "-"


GEMM = {
    "m": 8,
    "n": 4,
    "k": 2,
    "layout": "NN",
    "threads": 1,
    "gflops": 50.0,
    "peak_gflops": 100.0,
    "contender": "numba",
}
START = {"what": "start", "case": "digits", "contender": "numba", "cold_s": 9.0, "warm_s": 1.0, "compile_s": 8.0,
         "memory_mb": 200.0, "target": 0.95, "target_steps": 375, "target_s": 1.25}  # fmt: skip
PREDICT = {"what": "predict", "case": "digits", "contender": "torch", "latency_us": 8.5, "latency_p10_us": 8.0,
           "latency_p90_us": 9.0, "samples_per_second": 1e6}  # fmt: skip
POPULATION = {"networks": 100, "epochs": 10, "threads": 2, "contender": "jax-vmap-scan", "median_s": 1.5, "p10_s": 1.4,
              "p90_s": 1.6, "ratio": 4.0, "ratio_low": 3.9, "ratio_high": 4.1}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "records", "shown"),
    [
        ("gemm.json", [GEMM, GEMM | {"contender": "cublas", "peak_gflops": None}], "50.0 (50% of peak) | 50.0 |"),
        ("gemm-float64.json", [GEMM], "50.0 (50% of peak) |"),
        ("costs.json", [START, PREDICT], "1.25 (95% after 375 steps)"),
        ("costs.json", [START, PREDICT], "| digits | torch | 8.50 | 8.00..9.00 | 1,000,000 |"),
        ("population.json", [POPULATION], "| jax-vmap-scan | 1.50 | 1.40..1.60 | 4.00 [3.90, 4.10] |"),
    ],
)
def test_other_tables(tmp_path, capsys, file, records, shown):
    (tmp_path / file).write_text(json.dumps({"schema": 1, "machine": MACHINE, "records": records}))
    assert main(["table", str(tmp_path)]) == 0
    assert shown in capsys.readouterr().out


def test_growth_and_random_shapes(report, tmp_path, capsys):
    grown = [replace(record, case=f"width-{width}") for record in report.records for width in (8, 64)]
    Report(MACHINE, grown).write(tmp_path / "scaling.json")
    report.write(tmp_path / "random.json")
    assert main(["table", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "| steps a second, 1 thread | width 8 | width 64 |" in shown
    assert "| jax | 500 | 500 |" in shown
    assert "- numba is never behind jax, torch over width (1 thread)" in shown
    assert "- numba is the fastest, or level, in 1 of 1 races" in shown


BEGIN, END = "<!-- bench:short:begin -->", "<!-- bench:short:end -->"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}"])
def test_missing_markers_are_bad_input(folder, readme, capsys, text):
    readme.write_text(text)
    assert main(["table", str(folder), "--write", str(readme)]) == 2
    assert "got markers without a partner, or none" in capsys.readouterr().err
    assert readme.read_text() == text


def test_an_unknown_table_is_bad_input(folder, readme, capsys):
    readme.write_text("<!-- bench:fast:begin -->\n<!-- bench:fast:end -->\n")
    assert main(["table", str(folder), "--write", str(readme)]) == 2
    assert f"got a table called 'fast', expected one of {', '.join(TABLES)}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1, "records": []}'])
@pytest.mark.parametrize("file", ["gemm.json", "compare.json"])
def test_foreign_records_are_bad_input(tmp_path, capsys, file, text):
    if file == "compare.json" and text.endswith('"records": []}'):
        text = '{"schema": 1, "records": [{}], "not_timed": []}'
    (tmp_path / file).write_text(text)
    assert main(["table", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("file", ["compare.json", "scaling.json", "random.json", "gemm.json"])
def test_records_without_any_are_bad_input(tmp_path, capsys, file):
    Report(MACHINE).write(tmp_path / file)
    assert main(["table", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"mlp-bench: {tmp_path / file}: got no records, expected some; measure it again, to its end\n"
    )


def test_bad_files_are_one_line(folder, capsys):
    for arguments in (["nothing"], [str(folder), "--check", "nothing.md"]):
        assert main(["table", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
