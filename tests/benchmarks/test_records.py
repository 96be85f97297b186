import json
import os
from dataclasses import replace

import numpy as np
import pytest

from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.files import write_json
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.records import Report, make_not_timed, make_records, read_report
from mlp_benchmarks.report import (
    HEADER,
    data_lines,
    machine_lines,
    noise_lines,
    notes,
    plain_table,
    print_report,
    table_rows,
)
from mlp_scratch.errors import DataFileError

MACHINE = {
    "cpu": {"model": "A CPU", "simd": "AVX2+FMA", "caches": {"l3": 1000}, "cores": {"usable": 2}},
    "versions": {"python": "3.11", "torch": None},
    "threads": [1],
    "peaks": {"1": {"gflops": 100.0, "gbytes_per_second": 10.0}},
    "no_peaks": "",
}


def lane(name, seconds, **more):
    more = {"status": "timed", "steps": 10, "gap": 1e-7, "bound": 1e-5} | more
    return Lane(name, Entry(""), seconds=[seconds], **more)


@pytest.fixture
def lanes():
    return [
        lane("numba", [4e-3, 6e-3, 90e-3]),
        lane("fast", [2e-3, 4e-3, 30e-3]),
        lane("liar", [], status="wrong", reason="leaves the curve", gap=float("nan")),
    ]


@pytest.fixture
def report(digits, lanes):
    return Report(MACHINE, make_records(digits, lanes, MACHINE), make_not_timed(digits, lanes))


def test_times_are_microseconds_a_step(report):
    fast, slow = report.records
    assert (fast.contender, slow.contender) == ("fast", "numba")
    assert slow.rounds_us[0] == pytest.approx((400.0, 600.0, 9000.0))
    assert (slow.median_us, slow.rounds) == (pytest.approx(600.0), 3)
    assert slow.p10_us == pytest.approx(np.percentile([400, 600, 9000], 10))
    assert slow.p90_us == pytest.approx(np.percentile([400, 600, 9000], 90))


def test_ratios_are_paired_by_round(report):
    # Round by round 1/2, 2/3 and 1/3. Unpaired it would be 400 / 600.
    fast, ours = report.records
    assert fast.ratio == pytest.approx(0.5)
    assert fast.ratio_low <= fast.ratio <= fast.ratio_high
    assert (ours.ratio, ours.ratio_low, ours.ratio_high) == (1.0, 1.0, 1.0)


def test_an_unfinished_round_makes_no_pair(digits):
    lanes = [lane("numba", [1e-3, 1e-3, 1e-3]), lane("b", [2e-3, 2e-3])]
    first, second = make_records(digits, lanes, MACHINE)
    assert (first.rounds, second.rounds) == (3, 2)
    assert second.ratio == pytest.approx(2.0)


def test_without_the_baseline_there_is_no_ratio(digits):
    (record,) = make_records(digits, [lane("a", [1e-3, 1e-3])], MACHINE)
    assert (record.ratio, record.ratio_low, record.ratio_high) == (None, None, None)


def test_nobody_was_timed(digits):
    assert make_records(digits, [lane("liar", [], status="wrong")], MACHINE) == []


def test_file_keeps_everything(report, tmp_path):
    file = tmp_path / "r.json"
    report.write(file)
    assert read_report(file) == report
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_nan_is_no_number_in_the_file(report, tmp_path):
    report.write(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["not_timed"][0]["loss_gap"] is None


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", "no JSON: .*"),
        ("[]", "JSON of something else"),
        ("{}", "JSON of something else"),
        ('{"schema": 2, "records": []}', "schema 2"),
        ('{"schema": 1, "records": [{}], "not_timed": []}', "records with other fields"),
        ('{"schema": 1, "records": []}', "records with other fields"),
    ],
)
def test_foreign_files_are_refused(tmp_path, text, given):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataFileError, match=rf"r\.json: got {given}, expected .*; measure it again$"):
        read_report(tmp_path / "r.json")


def test_a_report_that_is_missing_is_named(tmp_path):
    with pytest.raises(DataFileError, match="got No such file or directory, expected a record of `mlp-bench`"):
        read_report(tmp_path / "r.json")


def test_a_failure_leaves_the_old_file_and_nothing_else(report, tmp_path, monkeypatch):
    file = tmp_path / "r.json"
    report.write(file)
    before = file.read_text()
    with pytest.raises(ValueError, match="JSON"):
        write_json(file, {"records": [float("nan")]})
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="full"):
        report.write(file)
    assert (file.read_text(), [path.name for path in tmp_path.iterdir()]) == (before, ["r.json"])


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_stays_a_link(report, tmp_path):
    file, link = tmp_path / "there" / "r.json", tmp_path / "link.json"
    file.parent.mkdir()
    link.symlink_to(file)
    report.write(link)
    assert link.is_symlink()
    assert read_report(file) == report


def fail(*_):
    raise OSError(28, "the disk is full")


def test_a_file_may_be_read_by_whom_the_umask_allows(report, tmp_path):
    (tmp_path / "plain").touch()
    report.write(tmp_path / "r.json")
    assert (tmp_path / "r.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_table_without_numbers(digits, lanes):
    (record, _) = make_records(digits, lanes, MACHINE | {"peaks": {}})
    assert record.floor_us is None
    assert table_rows([record])[0][6] == "-"


def test_columns_are_aligned(report):
    lines = plain_table(HEADER, table_rows(report.records)).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_terminal_shows_the_same_rows(report, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    print_report(report)
    shown = capsys.readouterr().out
    for row in table_rows(report.records):
        for cell in row:
            assert cell in shown
    assert "wrong: liar: leaves the curve (digits sgd)" in shown


def test_random_pixels_are_said(report):
    assert data_lines(report.records) == []
    (line,) = data_lines([replace(report.records[0], data="random")])
    assert line.startswith("data: random pixels in place of MNIST")
    assert data_lines([replace(report.records[0], data="random", case="random-0-0")]) == []


def test_who_takes_one_thread_of_two_is_said(report):
    numpy = replace(report.records[0], contender="numpy")
    line = "threads: numpy runs on one, whatever the number"
    assert line not in notes(replace(report, records=[numpy]))
    assert line in notes(replace(report, records=[replace(numpy, threads=2), report.records[1]]))


def test_where_nothing_is_bound_to_processors_it_is_said():
    assert not any("not bound" in line for line in machine_lines(MACHINE | {"bound_to": {"1": [0]}}))
    assert any(
        "jax, jax-scan and keras take all there are" in line for line in machine_lines(MACHINE | {"bound_to": {}})
    )


def test_only_a_table_with_a_floor_says_what_it_is(report):
    assert any("the floor is" in note for note in notes(report))
    assert not any("floor" in note for note in notes(report, floor=False))
    assert not any("floor" in line for line in machine_lines(MACHINE | {"peaks": {}}))


def test_a_noisy_machine_is_said(digits):
    calm, loud = lane("calm", [1.0, 1.1, 1.0]), lane("loud", [1.0, 2.0, 1.0])
    assert noise_lines(make_records(digits, [calm], MACHINE)) == []
    (line,) = noise_lines(make_records(digits, [calm, loud], MACHINE))
    assert line.startswith("noisy: 1 of 2 rows")


def test_the_control_is_said(digits):
    ours = lane("numba", [1.0, 1.1, 1.0])
    level, vague = lane("control", [1.0, 1.09, 1.01]), lane("control", [1.0, 1.3, 0.8])
    slow = lane("control", [1.05, 1.06 * 1.1, 1.05])
    assert noise_lines(make_records(digits, [ours, level], MACHINE)) == [
        "control: numba beside itself is level, its interval holding 1, in 1 of 1 races"
    ]
    assert noise_lines(make_records(digits, [ours, slow], MACHINE))[0].endswith("in 0 of 1 races")
    assert "cannot tell who is faster" in noise_lines(make_records(digits, [ours, vague], MACHINE))[-1]
