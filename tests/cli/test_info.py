"""`mlp-scratch info`. The peaks are given: what they are worth is tested where they are measured."""

import json

import pytest

from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends.probe import Peaks
from mlp_scratch.errors import BackendUnavailableError
from mlp_scratch.machine import usable_cores


@pytest.fixture(autouse=True)
def peaks(monkeypatch):
    def given(dtype, threads):
        return Peaks((200.123456789 if dtype == "float32" else 100.0) * threads, 20.0 + threads)

    monkeypatch.setattr("mlp_scratch.backends.probe.peaks", given)


def rows(out):
    return [line.split("  ", 1) for line in out.splitlines()]


def test_what_is_printed(run):
    result = run("info")
    assert (result.code, result.err) == (0, "")
    names = [name.strip() for name, _ in rows(result.out)]
    for name in ("processor", "caches", "cores", "memory", "GPU", "BLAS", "python", "numpy", "torch", "backend numpy"):
        assert name in names
    assert "200.1 GFLOP/s on 1 thread\n" in result.out
    assert "21.0 GB/s on 1 thread\n" in result.out
    assert f"{usable_cores()} usable" in result.out


def test_json_has_what_was_measured_in_full_precision(run, tmp_path):
    run("info", "--json", "info.json")
    record = json.loads((tmp_path / "info.json").read_text())
    assert record["measured"]["arithmetic"][0] == {"dtype": "float32", "threads": 1, "gflops": 200.123456789}
    assert record["measured"]["triad"][0] == {"threads": 1, "gbytes_per_second": 21.0}
    assert {row["threads"] for row in record["measured"]["triad"]} == {1, usable_cores()}
    assert record["backends"]["numpy"] == "available"
    assert record["cpu"]["cores"]["usable"] == usable_cores()


def test_a_gpu_and_a_missing_one(run, monkeypatch):
    gpu = {"name": "H200", "memory": 141 << 30, "compute_capability": "9.0", "sms": 132, "memory_bus_bits": 6144}
    monkeypatch.setattr("mlp_scratch.machine.find_gpus", lambda: ([gpu], ""))
    assert "H200, 132 SMs, 141 GiB on a 6144-bit bus, compute capability 9.0" in run("info").out
    monkeypatch.setattr("mlp_scratch.machine.find_gpus", lambda: ([], "no driver"))
    assert "none: no driver" in run("info").out


def test_why_a_backend_is_missing(run, monkeypatch):
    def missing(threads):
        raise BackendUnavailableError("no GPU on this machine")

    monkeypatch.setitem(BACKENDS, "cuda", missing)
    assert ["backend cuda", "no GPU on this machine"] in [[name, rest.strip()] for name, rest in rows(run("info").out)]


def test_a_machine_that_hides_what_it_is(run, monkeypatch):
    unknown = {"model": None, "architecture": "x", "simd": None, "caches": {"l1d": None, "l2": None, "l3": None}}
    monkeypatch.setattr("mlp_scratch.machine.describe_cpu", lambda: dict(unknown))
    result = run("info")
    assert result.code == 0
    assert "L2 unknown" in result.out


def test_a_file_that_cannot_be_written(run):
    run("info", "--json", "missing/info.json").refused("--json")
