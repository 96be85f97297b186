"""The GPU ladder's command measures every rung, refuses a wrong one, and writes what it measured."""

import json
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from mlp_kernels.cuda import gemm, ladder
from mlp_kernels.cuda.device import IS_SIMULATOR
from tests.kernels_cuda.on_gpu import SMALL, needs_gpu

pytestmark = needs_gpu

README = f"# Story\n\n{ladder.BEGIN}\nnot measured yet\n{ladder.END}\n\nthe rest\n"
GPU = {"gpu": "A GPU", "capability": [9, 0], "numba": "1", "numba-cuda": None, "torch": None, "cupy": "2"}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Tiles that the simulator is quick with, a clock that ticks, and a checkout to write to."""
    ticks = count(1)

    def milliseconds(run):
        run()
        return 1.0 + next(ticks) % 3

    tensor = gemm.Tile(16, 16, 16, warp_rows=16, warp_columns=16)
    tiles = {p: (SMALL["one warp, two stages"] if p in ("float32", "float64") else tensor,) for p in gemm.TILES}
    monkeypatch.setattr(gemm, "TILES", tiles)
    monkeypatch.setattr(ladder, "EDGE", 4)
    monkeypatch.setattr(ladder, "milliseconds", milliseconds)
    monkeypatch.setattr(ladder, "machine", lambda: GPU)
    monkeypatch.setattr(ladder, "cublas", lambda _precision, _a, _b: lambda: None)
    (tmp_path / "kernels" / "mlp_kernels" / "cuda").mkdir(parents=True)
    (tmp_path / "kernels" / "README.md").write_text(README)
    monkeypatch.setattr(ladder, "__file__", str(tmp_path / "kernels" / "mlp_kernels" / "cuda" / "ladder.py"))
    return tmp_path


def recorded(small):
    return json.loads((small / "benchmarks" / "results" / "A-GPU" / "cuda-ladder.json").read_text())


def test_the_table_and_the_record_are_written(small, capsys):
    assert ladder.main(["--size", "8", "--seconds", "0", "--write"]) == 0
    readme = (small / "kernels" / "README.md").read_text()
    assert readme.startswith(f"# Story\n\n{ladder.BEGIN}\n| rung | TFLOP/s")
    assert readme.endswith(f"{ladder.END}\n\nthe rest\n")
    assert "not measured yet" not in readme
    assert capsys.readouterr().out.strip() in readme
    assert "A GPU; numba 1, cupy 2." in readme

    frame = recorded(small)
    assert frame["schema"] == 1
    assert frame["failed"] == {}
    assert [record["rung"] for record in frame["records"]] == list(ladder.RUNGS)
    for record in frame["records"]:
        assert record["size"] == 8
        assert record["rounds"] >= 3
        assert 0 < record["tflops_p10"] <= record["tflops"] <= record["tflops_p90"]
        assert record["share_of_cublas"] > 0


def test_without_cublas_there_is_no_share(small, monkeypatch):
    monkeypatch.setattr(ladder, "cublas", lambda *_: None)
    record = ladder.measure("5 warp tile", size=8, seconds=0)
    assert record.cublas_tflops is None
    assert record.share_of_cublas is None
    assert "| 5 warp tile | 0.00 | - | - |" in ladder.table([record], GPU)


def broken(a, b, c):
    return lambda: None  # leaves the NaN that C was filled with


def test_a_wrong_rung_is_not_measured(small, monkeypatch):
    monkeypatch.setitem(ladder.RUNGS, "5 warp tile", ("float32", broken))
    with pytest.raises(ArithmeticError, match="5 warp tile: the product is off by nan"):
        ladder.measure("5 warp tile", size=8, seconds=0)


def test_the_others_are_measured_and_written(small, monkeypatch, capsys):
    monkeypatch.setitem(ladder.RUNGS, "5 warp tile", ("float32", broken))
    assert ladder.main(["--size", "8", "--seconds", "0", "--write"]) == 1
    assert "5 warp tile was not measured: ArithmeticError: 5 warp tile: the product is off" in capsys.readouterr().err
    frame = recorded(small)
    assert [record["rung"] for record in frame["records"]] == [rung for rung in ladder.RUNGS if rung != "5 warp tile"]
    assert list(frame["failed"]) == ["5 warp tile"]
    readme = (small / "kernels" / "README.md").read_text()
    assert "| 4 register tile |" in readme
    assert "| 5 warp tile |" not in readme


def test_ctrl_c_keeps_what_was_measured(small, monkeypatch):
    def interrupted(a, b, c):
        raise KeyboardInterrupt

    monkeypatch.setitem(ladder.RUNGS, "3 shared-memory tile", ("float32", interrupted))
    assert ladder.main(["--size", "8", "--seconds", "0", "--write"]) == 1
    frame = recorded(small)
    assert [record["rung"] for record in frame["records"]] == ["1 naive", "2 coalesced"]
    assert frame["failed"] == {"3 shared-memory tile": "interrupted"}


def test_nothing_is_written_where_all_fail(small, monkeypatch):
    monkeypatch.setattr(ladder, "RUNGS", dict.fromkeys(ladder.RUNGS, ("float32", broken)))
    assert ladder.main(["--size", "8", "--write"]) == 1
    assert (small / "kernels" / "README.md").read_text() == README


def test_outside_a_checkout_write_is_refused(small, capsys):
    (small / "kernels" / "README.md").unlink()
    with pytest.raises(SystemExit) as exit_:
        ladder.main(["--write"])
    assert exit_.value.code == 2
    assert "is missing" in capsys.readouterr().err


def test_the_clock_starts_behind_a_run_that_is_not_counted(monkeypatch):
    """On an idle GPU it would count the launch, which takes Python as long as the GPU needs for a large product."""
    order = []

    class Event:
        def record(self):
            order.append("clock")

        def synchronize(self):
            order.append("wait")

    monkeypatch.setattr(ladder, "cuda", SimpleNamespace(event=Event, event_elapsed_time=lambda _begin, _end: 2.0))
    assert ladder.milliseconds(lambda: order.append("run")) == 2.0
    assert order == ["run", "clock", "run", "clock", "wait"]


@pytest.mark.skipif(IS_SIMULATOR, reason="the simulator has no clock")
def test_the_clock_of_the_gpu_runs():
    a = np.ones((64, 64), "float32")
    assert ladder.milliseconds(lambda: gemm.gemm(a, a)) > 0
