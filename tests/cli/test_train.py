"""`mlp-scratch train`: what it trains, prints and saves."""

import json
import os

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.data import Scaler, load_dataset
from tests.cli.conftest import QUICK


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


def test_one_epoch_is_one(run):
    assert ", 1 epoch, backend " in run("train", "--hidden", "none", "--epochs", 1).out


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
            seen.append(("logits", self.asked))
            return super().logits(*arguments)

    monkeypatch.setitem(BACKENDS, "spy", Spy)
    monkeypatch.setitem(BACKENDS, "last", NumpyBackend)  # which "auto" would take
    assert run("train", *QUICK, "--backend", "spy", "--threads", 2).code == 0
    assert set(seen) == {("train", 2), ("logits", 2)}


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


def test_what_comes_behind_hidden_layers_is_not_told_where_there_are_none(run):
    result = run("train", "--hidden", "none", "--dropout", 0.5, "--batch-norm", "--epochs", 1, "--json", "run.json")
    assert "64-10, linear, 650 parameters" in result.out
    with open("run.json") as file:
        model = json.load(file)["model"]
    assert (model["activation"], model["dropout"], model["batch_norm"]) == (None, 0.0, False)


@pytest.mark.parametrize("validation", [[], ["--validation", 0.3]])
def test_a_batch_has_no_more_samples_than_are_trained_on(run, pets, validation):
    result = run("train", "--data", pets, *QUICK, "--batch-size", 1000, *validation, "--out", "m", "--json", "run.json")
    size = ms.load("m").training.batch_size
    assert f"batch {size}, " in result.out
    with open("run.json") as file:
        assert json.load(file)["training"]["batch_size"] == size == (67 if validation else 96)


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


def test_plot(run, tmp_path):
    result = run("train", *QUICK, "--plot", "curves.png")
    assert "--plot written to curves.png" in result.out
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
