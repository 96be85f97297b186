"""The ladder's command measures every rung and writes what it measured."""

import json

import pytest

from mlp_kernels import ladder

README = f"# Story\n\n{ladder.BEGIN}\nold table\n{ladder.END}\n\nthe rest\n"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "kernels" / "mlp_kernels").mkdir(parents=True)
    (tmp_path / "kernels" / "README.md").write_text(README)
    monkeypatch.setattr(ladder, "__file__", str(tmp_path / "kernels" / "mlp_kernels" / "ladder.py"))
    return tmp_path


def test_the_table_and_the_record_are_written(checkout, capsys):
    assert ladder.main(["--size", "40", "--seconds", "0", "--write"]) == 0
    readme = (checkout / "kernels" / "README.md").read_text()
    assert readme.startswith(f"# Story\n\n{ladder.BEGIN}\n| rung | float32")
    assert readme.endswith(f"{ladder.END}\n\nthe rest\n")
    assert "old table" not in readme
    assert capsys.readouterr().out.strip() in readme

    (path,) = (checkout / "benchmarks" / "results").glob("*/ladder.json")
    frame = json.loads(path.read_text())
    assert frame["schema"] == 1
    assert {(record["rung"], record["dtype"]) for record in frame["records"]} == {
        (rung, dtype) for rung in ladder.RUNGS for dtype in ("float32", "float64")
    }
    for record in frame["records"]:
        assert record["size"] == 40
        assert 0 < record["gflops_p10"] <= record["gflops"] <= record["gflops_p90"]
        assert record["rounds"] >= 3
        assert f"{record['gflops']:.1f}" in readme


def test_without_write_nothing_is_written(checkout):
    assert ladder.main(["--size", "8", "--seconds", "0"]) == 0
    assert (checkout / "kernels" / "README.md").read_text() == README
    assert not (checkout / "benchmarks").exists()


def test_outside_a_checkout_write_is_refused(checkout, capsys):
    (checkout / "kernels" / "README.md").unlink()
    with pytest.raises(SystemExit) as exit_:
        ladder.main(["--size", "8", "--seconds", "0", "--write"])
    assert exit_.value.code == 2
    assert "is missing" in capsys.readouterr().err


def test_a_wrong_rung_is_not_measured(monkeypatch):
    def broken(a, b, bias, out):
        out[...] = float("nan")

    monkeypatch.setitem(ladder.RUNGS, "1 naive", broken)
    with pytest.raises(ArithmeticError, match="not finite"):
        ladder.measure("1 naive", "float32", size=8, seconds=0)
