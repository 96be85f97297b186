"""`mlp-scratch train`."""

import json
import os
import signal
import sys

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.cli.train_report import Report
from mlp_scratch.data import Scaler, load_dataset

QUICK = ("--hidden", 8, "--epochs", 2)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def printed_scores(out):
    """{part: {name: number}} from the table at the end."""
    lines = out[out.index("\n        ") :].splitlines()
    names = lines[1].split()
    rows = [line.split() for line in lines[2:] if line.startswith(("training", "test"))]
    return {part: dict(zip(names, map(float, numbers), strict=True)) for part, *numbers in rows}


def test_digits_reach_97_percent(run):
    result = run("train", "--data", "digits", "--hidden", 64, "--epochs", 30, "--seed", 0)
    assert (result.code, result.err) == (0, "")
    assert printed_scores(result.out)["test"]["accuracy"] >= 0.97


@pytest.mark.skipif("MLP_SCRATCH_DATA" not in os.environ, reason="set MLP_SCRATCH_DATA to a folder with mnist/")
def test_mnist_reaches_95_percent(run):
    result = run("train", "--data", "mnist", "--json", "run.json")
    assert result.code == 0
    assert printed_scores(result.out)["test"]["accuracy"] >= 0.955
    with open("run.json") as file:
        assert json.load(file)["model"]["widths"] == [784, 256, 128, 10]


def test_xy_reproduces_the_network_of_one_hidden_layer(run):
    """Keras' network of 24 hidden units: 97 parameters, mean absolute errors of 3.8e-3 to 7.1e-3 over a few seeds."""
    result = run("train", "--data", "xy", "--json", "run.json")
    with open("run.json") as file:
        record = json.load(file)
    assert record["model"]["parameters"] == 97
    assert record["training"]["optimizer"]["eps_mode"] == "keras"
    for part in ("training", "test"):
        assert 3e-3 < record["scores"][part]["mae"] < 7.1e-3
        assert printed_scores(result.out)[part]["mae"] == pytest.approx(record["scores"][part]["mae"], abs=5e-7)


def test_what_is_printed(run):
    lines = run("train", "--hidden", "8,4", "--activation", "tanh", "--epochs", 7, "--seed", 3).out.splitlines()
    assert lines[0] == "data      digits: 1438 training and 359 test samples, 64 features, 10 classes"
    assert lines[1] == "model     64-8-4-10, tanh, 606 parameters, float32, seed 3"
    assert lines[2].startswith("training  cross_entropy, adam lr 0.005, batch 32, 7 epochs, backend ")
    assert lines[4].split()[:2] == ["epoch", "loss"]
    assert [line.split()[0] for line in lines[5:11]] == ["...", "3", "4", "5", "6", "7"]


def test_json_has_what_was_printed_in_full_precision(run):
    result = run("train", *QUICK, "--validation", 0.25, "--json", "run.json")
    with open("run.json") as file:
        record = json.load(file)
    for part, row in printed_scores(result.out).items():
        for name, value in row.items():
            assert record["scores"][part][name] == pytest.approx(value, abs=5e-7)
            assert record["scores"][part][name] != value or value in (0.0, 1.0)
    assert record["data"]["name"] == "digits"
    assert (record["data"]["training_samples"], record["data"]["test_samples"]) == (1438, 359)
    assert record["model"]["widths"] == [64, 8, 10]
    assert record["training"]["optimizer"]["kind"] == "adam"
    assert record["training"]["precision"] == "float32"
    assert [epoch["epoch"] for epoch in record["history"]["epochs"]] == [1, 2]
    assert len(record["history"]["steps"]["loss"]) == 2 * -(-1438 * 3 // 4 // 32)
    assert record["history"]["epochs"][1]["val_accuracy"] is not None


def test_the_same_seed_gives_the_same_model_and_another_one_another(run):
    models = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("train", *QUICK, "--seed", seed, "--out", name)
        models.append(ms.load(name).flat)
    assert models[0].tobytes() == models[1].tobytes()
    assert models[0].tobytes() != models[2].tobytes()


def test_every_option_reaches_the_model(run):
    result = run(
        "train", "--hidden", "12,6", "--activation", "gelu", "--dropout", 0.25, "--batch-norm", "--optimizer",
        "nesterov", "--lr", 0.03, "--batch-size", 50, "--epochs", 1, "--dtype", "float64", "--seed", 7, "--threads", 1,
        "--backend", "numpy", "--precision", "float64", "--loss", "cross_entropy", "--out", "m.safetensors",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "backend numpy, products in float64\n" in result.out
    model = ms.load("m.safetensors")
    kinds = [layer.kind for layer in model.layers]
    assert kinds == ["dense", "batch_norm", "gelu", "dropout"] * 2 + ["dense"]
    assert model.parameters["4.weight"].shape == (6, 12)
    assert model.layers[3].p == 0.25
    assert (model.dtype, model.seed) == (np.float64, 7)
    assert model.training.optimizer == ms.SGD(0.03, momentum=0.9, nesterov=True)
    assert model.training.batch_size == 50
    assert model.training.step == -(-1438 // 50)


def test_the_backend_does_all_the_arithmetic_on_so_many_threads(run, monkeypatch):
    seen = []

    class Spy(NumpyBackend):
        def __init__(self, threads=None):
            super().__init__(threads)
            self.asked = threads

        def train(self, *arguments):
            seen.append(("train", self.asked))
            return super().train(*arguments)

        def logits(self, *arguments):
            seen.append(("logits", None))
            return super().logits(*arguments)

    monkeypatch.setitem(BACKENDS, "spy", Spy)
    monkeypatch.setitem(BACKENDS, "last", NumpyBackend)  # which "auto" would take
    assert run("train", *QUICK, "--backend", "spy", "--threads", 2).code == 0
    assert set(seen) == {("train", 2), ("logits", None)}


def test_the_seed_also_decides_the_split(run, pets):
    shifts = []
    for seed in (1, 2):
        run("train", "--data", pets, *QUICK, "--seed", seed, "--out", "m")
        shifts.append(ms.load("m").metadata["scaler"]["shift"])
    assert shifts[0] != shifts[1]


@pytest.mark.parametrize("hidden", ["none", ""])
def test_no_hidden_layer(run, hidden):
    result = run("train", "--hidden", hidden, "--epochs", 1)
    assert result.code == 0
    assert "64-10, linear, 650 parameters" in result.out


def test_the_saved_model_scores_as_printed_and_carries_its_data(run, digits):
    result = run("train", *QUICK, "--out", "m.safetensors")
    model = ms.load("m.safetensors")
    scaler = Scaler.from_dict(model.metadata["scaler"])
    scores = model.evaluate(scaler.transform(digits.X_test), digits.y_test)
    assert scores["accuracy"] == pytest.approx(printed_scores(result.out)["test"]["accuracy"], abs=5e-7)
    assert model.metadata["data"] == "digits"
    assert model.metadata["class_names"] == list("0123456789")


def test_features_are_scaled_by_the_training_part_only(run, pets):
    run("train", "--data", pets, *QUICK, "--out", "m.safetensors")
    dataset = load_dataset(pets)
    expected = Scaler.fit(dataset.X_train)
    found = Scaler.from_dict(ms.load("m.safetensors").metadata["scaler"])
    assert found.shift.tolist() == expected.shift.tolist()
    everything = Scaler.fit(np.concatenate([dataset.X_train, dataset.X_test]))
    assert found.shift.tolist() != everything.shift.tolist()


def test_regression_from_a_file_with_a_named_target(run, tmp_path):
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (200, 2))
    rows = "\n".join(f"{a},{a - 2 * b},{b}" for a, b in X)
    (tmp_path / "plane.csv").write_text(f"a,height,b\n{rows}\n")
    result = run("train", "--data", "plane.csv", "--target", "height", "--hidden", "none", "--lr", 0.05)
    assert "mse, adam lr 0.05" in result.out
    assert printed_scores(result.out)["test"]["mse"] < 1e-3


def test_two_classes_with_one_output(run, pets):
    result = run("train", "--data", pets, "--loss", "binary_cross_entropy", "--hidden", 8, "--lr", 0.01)
    assert "2-8-1" in result.out
    assert printed_scores(result.out)["test"]["accuracy"] == 1.0


def test_patience_ends_the_training(run):
    result = run("train", "--data", "xy", "--lr", 0.5, "--validation", 0.2, "--patience", 1, "--epochs", 50)
    assert "stopped: val_loss has not improved for 1 epochs" in result.out


def test_plot(run, tmp_path):
    result = run("train", *QUICK, "--plot", "curves.png")
    assert "--plot written to curves.png" in result.out
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_divergence_is_told_and_destroys_nothing(run, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"an earlier model")
    result = run("train", "--data", "xy", "--lr", 1e30, "--epochs", 1, "--out", "m.safetensors")
    assert result.code == 1
    assert result.err.startswith("mlp-scratch: training diverged")
    assert result.err.count("\n") == 1
    assert (tmp_path / "m.safetensors").read_bytes() == b"an earlier model"


class TestCtrlC:
    """Ctrl-C after the first epoch, as the terminal would send it."""

    @pytest.fixture(autouse=True)
    def interrupt(self, monkeypatch):
        monkeypatch.setattr(Report, "on_epoch_end", lambda *_: os.kill(os.getpid(), signal.SIGINT))

    def test_saves_the_model(self, run):
        result = run("train", *QUICK, "--out", "m.safetensors")
        assert result.code == 130
        assert result.err == (
            "mlp-scratch: interrupted at step 45, after 1 whole epochs; the model is saved to m.safetensors\n"
        )
        model = ms.load("m.safetensors")
        assert (model.training.step, model.training.epoch) == (45, 1)
        assert model.metadata["class_names"] == list("0123456789")

    def test_saves_nothing_unasked(self, run, tmp_path):
        result = run("train", *QUICK)
        assert (result.code, result.err) == (130, "mlp-scratch: interrupted at step 45, after 1 whole epochs\n")
        assert list(tmp_path.iterdir()) == []


def test_ctrl_c_before_the_first_step(run, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(ms.MLP, "fit", interrupted)
    result = run("train", "--out", "m.safetensors")
    assert (result.code, result.err) == (130, "mlp-scratch: interrupted before the first step\n")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_the_scores_loses_nothing(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(ms.MLP, "evaluate", interrupted)
    assert run("train", *QUICK, "--out", "m.safetensors").code == 130
    assert ms.load("m.safetensors").training.epoch == 2


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
        (["--precision", "tf32", "--dtype", "float64"], ["--precision: got 'tf32'", "dtype='float32'"]),
        (["--precision", "tf32", "--backend", "numpy"], ["--precision: got 'tf32' with backend 'numpy'"]),
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
        (["--validation", 1], ["--validation: got 1.0"]),
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
