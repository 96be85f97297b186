import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlp_benchmarks import compare, peaks
from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.process import can_bind, choose_cpus
from mlp_benchmarks.race import Race
from mlp_benchmarks.report import HEADER

RECORD_KEYS = {
    "case": str,
    "widths": list,
    "batch": int,
    "optimizer": str,
    "dtype": str,
    "threads": int,
    "contender": str,
    "median_us": float,
    "p10_us": float,
    "p90_us": float,
    "rounds": int,
    "floor_us": float,
    "loss_gap": float,
}
"""The keys that the design promises, with their types."""

FAKES = {
    "honest": Entry("fake_contenders:Honest"),
    "again": Entry("fake_contenders:AlsoHonest"),
    "liar": Entry("fake_contenders:ScaledGradient"),
    "crash": Entry("fake_contenders:Crashing"),
    "absent": Entry("nothing:Nothing", "no_such_package", "pip install no-such-package"),
}


@pytest.fixture(autouse=True)
def _small_world(monkeypatch):
    """The fakes are the contenders, and the peaks are given: measuring them takes seconds."""
    monkeypatch.setattr(compare, "CONTENDERS", FAKES)
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: (Peaks(100.0, 10.0), []))


def compare_digits(*more):
    return main(["compare", "--case", "digits", "--optimizer", "sgd", "--rounds", "3", "--processes", "1", *more])


def test_json_is_as_promised(tmp_path, capsys):
    file = tmp_path / "r.json"
    assert compare_digits("--contender", "honest,again,absent", "--json", str(file)) == 0
    contents = json.loads(file.read_text())
    assert contents["schema"] == 1
    assert contents["machine"]["peaks"] == {"1": {"gflops": 100.0, "gbytes_per_second": 10.0}}
    assert contents["machine"]["bound_to"] == ({"1": choose_cpus(1)} if can_bind() else {})
    assert contents["interrupted"] is False
    assert {record["contender"] for record in contents["records"]} == {"honest", "again"}
    for record in contents["records"]:
        for key, kind in RECORD_KEYS.items():
            assert type(record[key]) is kind, key
        assert (record["case"], record["widths"], record["batch"]) == ("digits", [64, 32, 10], 32)
        assert (record["optimizer"], record["dtype"], record["threads"]) == ("sgd", "float32", 1)
        assert record["rounds"] == len(record["rounds_us"][0]) == 3
        assert min(record["rounds_us"][0]) <= record["p10_us"] <= record["median_us"] <= record["p90_us"]
        assert record["floor_us"] == pytest.approx(323_584 / 100e9 * 1e6)
    assert contents["not_timed"] == [
        {
            "case": "digits",
            "optimizer": "sgd",
            "threads": 1,
            "contender": "absent",
            "status": "skipped",
            "reason": "not installed (pip install no-such-package)",
            "loss_gap": None,
        }
    ]
    assert "skipped: absent: not installed (pip install no-such-package) (digits sgd)" in capsys.readouterr().out


def test_table_is_plain_in_a_pipe(capsys):
    assert compare_digits("--contender", "honest") == 0
    header, row, *_ = capsys.readouterr().out.splitlines()
    assert re.split(" {2,}", header) == list(HEADER)
    assert row.split()[:4] == ["digits", "sgd", "1", "honest"]
    assert len(header) == len(row)


@pytest.mark.parametrize(("fake", "status"), [("liar", "wrong"), ("crash", "failed")])
def test_a_contender_that_is_not_right_fails_the_command(tmp_path, capsys, fake, status):
    file = tmp_path / "r.json"
    assert compare_digits("--contender", f"{fake},honest", "--json", str(file)) == 1
    contents = json.loads(file.read_text())
    assert [record["contender"] for record in contents["records"]] == ["honest"]
    assert [(entry["contender"], entry["status"]) for entry in contents["not_timed"]] == [(fake, status)]
    assert f"{status}: {fake}: " in capsys.readouterr().out


def test_a_peak_that_was_hidden_at_first_counts_for_all_records(tmp_path, monkeypatch):
    measured = iter([Peaks(50.0, 40.0), Peaks(100.0, 30.0), Peaks(80.0, 20.0)])  # before, and after each of two races
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: (next(measured), []))
    file = tmp_path / "r.json"
    arguments = ["--case", "digits,xy-1x24", "--optimizer", "sgd", "--rounds", "2", "--processes", "1"]
    assert main(["compare", *arguments, "--contender", "honest", "--json", str(file)]) == 0
    contents = json.loads(file.read_text())
    assert contents["machine"]["peaks"] == {"1": {"gflops": 100.0, "gbytes_per_second": 40.0}}
    assert len(contents["records"]) == 2
    for record in contents["records"]:
        assert record["floor_us"] == pytest.approx(record["flops_per_step"] / 100e9 * 1e6)


def test_without_peaks_there_is_no_floor(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: "no compiler here")
    file = tmp_path / "r.json"
    assert compare_digits("--contender", "honest", "--json", str(file)) == 0
    assert json.loads(file.read_text())["records"][0]["floor_us"] is None
    assert "no floor: the peaks could not be measured (no compiler here)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--case", "digit"], "--case: got 'digit', expected one of d2l, "),
        (["--case", "digit"], "did you mean 'digits'?"),
        (["--contender", "honets"], "did you mean 'honest'?"),
        (["--contender", ""], "--contender: got '', expected one of "),
        (["--optimizer", "adma"], "--optimizer: got 'adma', expected one of adam, sgd; did you mean 'adam'?"),
        (["--rounds", "0"], "--rounds: got 0, expected an integer of at least 1"),
        (["--rounds", "many"], "'many' is not a valid integer"),
        (["--threads", "0"], "--threads: got '0', expected whole numbers of at least 1"),
        (["--threads", "1,two"], "--threads: got '1,two', expected whole numbers"),
        (["--processes", "0"], "--processes: got 0, expected an integer of at least 1"),
        (["--random", "2", "--case", "d2l"], "--case: got d2l beside --random, expected one of the two"),
        (["--json", "same.out", "--html", "./same.out"], "--html: got same.out, expected another file than --json"),
        (["--random", "0"], "--random: got 0, expected an integer of at least 1"),
        (["--minutes", "0"], "--minutes: got 0.0, expected "),
        (["--threads", "9999"], "--threads: got 9999, expected 1 to "),
        (["--json", "/no/such/folder/r.json"], "--json: got '/no/such/folder/r.json' (No such file or directory)"),
        (["--json", "/"], "--json: got '/' (it is a folder), expected a file that can be written"),
        (["--colour"], "No such option"),
        (["surplus"], "unexpected extra argument"),
    ],
)
def test_bad_usage_is_one_line(capsys, arguments, message):
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mlp-bench: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_what_is_listed_twice_is_raced_once(capsys):
    assert compare_digits("--contender", "honest,honest", "--threads", "1,1") == 0
    _, *rows = (line for line in capsys.readouterr().out.splitlines() if "honest" in line or "contender" in line)
    assert len(rows) == 1


def test_unknown_command_offers_the_nearest(capsys):
    assert main(["comapre"]) == 2
    assert "did you mean 'compare'?" in capsys.readouterr().err


def test_no_command_shows_help(capsys):
    assert main([]) == 0
    assert "compare" in capsys.readouterr().out


def test_an_interrupt_keeps_what_was_measured(tmp_path, capsys, monkeypatch):
    turns = []
    honest = Race._time

    def time_or_interrupt(self, lane, worker, job):
        turns.append(lane.name)
        if len(turns) == 4:  # of two contenders: in the middle of the second round
            raise KeyboardInterrupt
        honest(self, lane, worker, job)

    monkeypatch.setattr(Race, "_time", time_or_interrupt)
    file = tmp_path / "r.json"
    assert compare_digits("--contender", "honest,again", "--json", str(file)) == 130
    contents = json.loads(file.read_text())
    assert contents["interrupted"] is True
    assert {record["contender"]: record["rounds"] for record in contents["records"]} == {"honest": 2, "again": 1}
    captured = capsys.readouterr()
    assert "honest" in captured.out
    assert captured.err == f"mlp-bench: interrupted; {file} has what was measured\n"


def test_an_interrupt_before_the_first_record_leaves_the_older_file(tmp_path, capsys, monkeypatch):
    file = tmp_path / "r.json"
    file.write_text("an older record")

    def interrupt(threads, dtype):
        raise KeyboardInterrupt

    monkeypatch.setattr(peaks, "measure_peaks", interrupt)
    assert compare_digits("--contender", "honest", "--json", str(file)) == 130
    assert file.read_text() == "an older record"
    assert capsys.readouterr().err == f"mlp-bench: interrupted; nothing was measured, {file} was not written\n"


@pytest.mark.skipif(os.name == "nt", reason="has no pipes among its files")
def test_what_is_no_regular_file_is_not_replaced(tmp_path, capsys):
    pipe, round_trip = tmp_path / "pipe", tmp_path / "round-trip"
    os.mkfifo(pipe)
    round_trip.symlink_to(round_trip)
    for file in (pipe, round_trip):
        assert compare_digits("--contender", "honest", "--json", str(file)) == 2
        assert f"--json: got '{file}' (not a regular file), expected a file that can be" in capsys.readouterr().err


INTERRUPTED_RUN = """
import sys
from mlp_benchmarks import compare, peaks
from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
compare.CONTENDERS = {"honest": Entry("fake_contenders:Honest"), "hanging": Entry("fake_contenders:HangingOnAdam")}
peaks.measure_peaks = lambda threads, dtype: "not measured"
sys.exit(main(["compare", "--case", "digits", "--rounds", "2", "--processes", "1",
               "--json", sys.argv[1]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "a time limit"])
def test_the_end_from_outside_leaves_a_valid_json(tmp_path, by):
    file, hangs = tmp_path / "r.json", Path(os.environ["FAKE_LOG"]).with_name("hangs")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED_RUN, str(file)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        # SGD's race is over; Adam's never ends.
        deadline = time.monotonic() + 60
        while not hangs.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, by)  # a terminal sends it to the whole group, and so does `timeout`
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert hangs.exists()
    assert process.returncode == 130
    assert errors == f"mlp-bench: interrupted; {file} has what was measured\n"
    contents = json.loads(file.read_text())
    assert contents["interrupted"] is True
    assert {(r["optimizer"], r["contender"]) for r in contents["records"]} == {("sgd", "honest"), ("sgd", "hanging")}
    assert [path.name for path in Path(tmp_path).iterdir() if path.suffix == ".tmp"] == []
