"""`mlp-scratch train` with options, data and files that it refuses."""

import sys

import numpy as np
import pytest

from tests.cli.conftest import QUICK


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "digit"], ["--data: got 'digit'", "did you mean 'digits'?"]),
        (["--activation", "rleu"], ["--activation: got 'rleu'", "did you mean 'relu'?"]),
        (["--loss", "cros_entropy"], ["--loss: got 'cros_entropy'", "did you mean 'cross_entropy'?"]),
        (["--optimizer", "adm"], ["--optimizer: got 'adm'", "did you mean 'adam'?"]),
        (["--backend", "nunpy"], ["--backend: got 'nunpy'", "did you mean 'numpy'?"]),
        (["--task", "regresion"], ["--task: got 'regresion'", "did you mean 'regression'?"]),
        (["--task", "regression"], ["--task: got 'regression'", "digits"]),
        (["--target", "age"], ["--target: got 'age'"]),
        (["--dtype", "float16"], ["--dtype: got 'float16'", "float32"]),
        (["--precision", "tf32", "--dtype", "float64"], ["--precision: got 'tf32'", "--dtype float32"]),
        (["--precision", "tf32", "--backend", "numpy"], ["'tf32' with backend 'numpy'", "use --backend cuda"]),
        (["--batch-size", 0], ["--batch-size: got 0", "try 32"]),
        (["--batch-size", -3], ["--batch-size: got -3"]),
        (["--epochs", 0], ["--epochs: got 0"]),
        (["--epochs", -1], ["--epochs: got -1"]),
        (["--lr", 0], ["--lr: got 0.0"]),
        (["--lr", -0.1], ["--lr: got -0.1"]),
        (["--lr", "nan"], ["--lr: got nan"]),
        (["--lr", "inf"], ["--lr: got inf"]),
        (["--hidden", 0], ["--hidden: got '0'", "try 256,128"]),
        (["--hidden", "8,-8"], ["--hidden: got '8,-8'"]),
        (["--hidden", "8,,8"], ["--hidden: got '8,,8'"]),
        (["--hidden", "wide"], ["--hidden: got 'wide'"]),
        (["--hidden", "2.5"], ["--hidden: got '2.5'"]),
        (["--dropout", 1], ["--dropout: got 1.0"]),
        (["--validation", 1], ["--validation: got 1.0, expected a finite number above 0 and below 1\n"]),
        (["--patience", 0], ["--patience: got 0"]),
        (["--test-fraction", 1], ["--test-fraction: got 1.0"]),
        (["--seed", -1], ["--seed: got -1"]),
        (["--threads", 0], ["--threads: got 0"]),
        (["--loss", "mse"], ["--loss: got 'mse'", "10 classes", "cross_entropy"]),
        (["--loss", "binary_cross_entropy"], ["--loss", "10 classes"]),
        (["--data", "xy", "--loss", "cross_entropy"], ["--loss", "one output"]),
        (["--data", "none.csv"], ["none.csv", "No such file"]),
        (["--data", "none.npz"], ["none.npz", "No such file"]),
        (["--data", "."], ["--data: got '.'"]),
    ],
)
def test_bad_options(run, arguments, words):
    run("train", *arguments).refused(*words)


@pytest.mark.parametrize("option", ["activation", "loss", "optimizer", "backend", "dtype", "precision", "task"])
def test_names_are_checked_before_data_are_read(run, option):
    run("train", "--data", "none.csv", f"--{option}", "nonsense").refused(f"--{option}: got 'nonsense'")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b,kind\n1,2,0\n3,1\n", ["line 3", "2 columns", "expected 3"]),
        (b"a,b,kind\n1,2,0\n3,x,1\n", ["line 3", "'x'"]),
        (b"a,b,kind\n1,,0\n3,1,1\n", ["line 2", "empty"]),
        (b"a,b,kind\n", ["bad.csv"]),
        (b"", ["bad.csv", "empty"]),
        (b"\xff\xfe\x00", ["UTF-8"]),
        (b"a,kind\n1,0\n2,0\n3,0\n4,0\n5,0\n", ["one class"]),
    ],
)
def test_bad_csv_files(run, tmp_path, content, words):
    (tmp_path / "bad.csv").write_bytes(content)
    run("train", "--data", "bad.csv").refused("bad.csv", *words)


def test_a_truncated_npz_file(run, tmp_path):
    np.savez(tmp_path / "all.npz", X=np.ones((50, 2)), y=np.arange(50) % 2)
    (tmp_path / "half.npz").write_bytes((tmp_path / "all.npz").read_bytes()[:400])
    run("train", "--data", "half.npz").refused("half.npz")


@pytest.mark.parametrize("option", ["--out", "--json", "--plot"])
@pytest.mark.parametrize("place", ["missing/file.png", "folder.png", "regular.txt/file.png"])
def test_files_that_cannot_be_written_stop_it_before_it_starts(run, tmp_path, option, place):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "regular.txt").write_text("kept")
    run("train", *QUICK, option, place).refused(f"{option}: got '{place}'")
    assert (tmp_path / "regular.txt").read_text() == "kept"


def test_refusing_leaves_files_as_they_were(run, tmp_path):
    (tmp_path / "old.json").write_text("kept")
    run("train", "--json", "old.json", "--out", "new.safetensors", "--lr", 0).refused("--lr")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "kept"


def test_outputs_may_not_overwrite_each_other_or_the_data(run, pets):
    run("train", "--out", "a", "--json", "./a").refused("--json: got './a'")
    before = pets.read_bytes()
    run("train", "--data", pets, "--json", pets).refused("--json")
    assert pets.read_bytes() == before


def test_a_plot_needs_a_kind_of_image(run):
    run("train", "--plot", "curves.txt").refused("--plot: got 'curves.txt'", ".png")


def test_a_plot_needs_matplotlib(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    run("train", "--plot", "curves.png").refused("--plot", "matplotlib", "pip install")
