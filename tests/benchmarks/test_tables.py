from dataclasses import replace

import pytest

from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.race import Lane
from mlp_benchmarks.records import Report, make_records
from mlp_benchmarks.tables import BEGIN, END, markdown_table

MACHINE = {"cpu": {"model": "A CPU", "simd": "AVX2+FMA"}, "threads": [1], "peaks": {}, "no_peaks": "not measured"}


@pytest.fixture
def record(digits, tmp_path):
    lanes = [
        Lane(name, Entry(""), status="timed", steps=1, seconds=[[seconds]], gap=0.0)
        for name, seconds in (("numpy", 2e-3), ("torch", 1e-3))
    ]
    file = tmp_path / "record.json"
    Report(MACHINE, make_records(digits, lanes, MACHINE)).write(file)
    return file


@pytest.fixture
def readme(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nthe rest\n", encoding="utf-8")
    return file


def test_write_then_check(record, readme, capsys):
    assert main(["table", str(record), "--check", str(readme)]) == 1
    assert "its table is not that of" in capsys.readouterr().err
    assert main(["table", str(record), "--write", str(readme)]) == 0
    assert main(["table", str(record), "--check", str(readme)]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\n{BEGIN}\n| µs a step |")
    assert text.endswith(f"\n{END}\n\nthe rest\n")
    assert "old" not in text


def test_a_changed_digit_is_found(record, readme):
    main(["table", str(record), "--write", str(readme)])
    readme.write_text(readme.read_text(encoding="utf-8").replace("**1,000**", "**1,001**"), encoding="utf-8")
    assert main(["table", str(record), "--check", str(readme)]) == 1


def test_table_in_markdown(record, capsys):
    assert main(["table", str(record)]) == 0
    header, rule, row, *_ = capsys.readouterr().out.splitlines()
    assert header == "| µs a step | optimizer | floor | torch | numpy |"
    assert rule == "| --- | --- | ---: | ---: | ---: |"
    torch, numpy = "**1,000**<br><sub>1,000..1,000</sub>", "2,000<br><sub>2,000..2,000</sub>"
    assert row == f"| `digits` 64-32-10, batch 32 | sgd | - | {torch} | {numpy} |"


def test_a_contender_without_a_time_has_a_dash(digits):
    lanes = [Lane("numpy", Entry(""), status="timed", steps=1, seconds=[[1.0]])]
    others = [Lane("torch", Entry(""), status="timed", steps=1, seconds=[[1.0]])]
    records = make_records(digits, lanes, MACHINE)
    records += [replace(record, optimizer="adam") for record in make_records(digits, others, MACHINE)]
    _, _, sgd, adam, *_ = markdown_table(Report(MACHINE, records)).splitlines()
    assert sgd.endswith("| - |")
    assert adam.split(" | ")[3] == "-"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_missing_markers_are_bad_input(record, readme, capsys, text):
    readme.write_text(text)
    assert main(["table", str(record), "--write", str(readme)]) == 2
    assert "got no pair of markers" in capsys.readouterr().err
    assert readme.read_text() == text


def test_bad_files_are_one_line(record, readme, capsys):
    for arguments in (["nothing.json"], [str(readme)], [str(record), "--check", "nothing.md"]):
        assert main(["table", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
