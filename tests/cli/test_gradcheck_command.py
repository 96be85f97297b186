"""`mlp-scratch gradcheck`."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.layers import ACTIVATIONS, ReLU
from tests.tolerances import GRADCHECK


def test_without_options_it_checks_a_small_network_on_digits(run, tmp_path):
    result = run("gradcheck", "--json", "report.json")
    assert (result.code, result.err) == (0, "")
    assert "1210 parameters, 16 samples of digits, cross_entropy, backend numba" in result.out
    assert "passed" in result.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] is True
    assert report["checked"] == report["parameters"] == 1210
    assert (report["samples"], report["data"]) == (16, "digits")
    assert report["loss_function"] == {"kind": "cross_entropy", "label_smoothing": 0.0}
    assert report["max_error"] <= GRADCHECK


@pytest.mark.parametrize("data", [[], ["--data", "pets.csv"]])
def test_a_saved_model_with_its_own_loss(run, pets, data):
    run("train", "--data", pets, "--loss", "binary_cross_entropy", "--hidden", 4, "--epochs", 1, "--out", "m")
    result = run("gradcheck", "m", *data, "--samples", 9)
    assert result.code == 0, result.err
    source = "pets" if data else "normal random numbers"
    assert f"17 parameters, 9 samples of {source}, binary_cross_entropy" in result.out


def test_a_model_that_was_never_trained(run):
    ms.MLP([3, 4, 1]).save("m")
    assert "21 parameters, 16 samples of normal random numbers, mse" in run("gradcheck", "m").out


class TestColumnsByName:
    """The features of a model are those of its names, wherever they stand in the file."""

    @pytest.fixture
    def loss_on(self, run, tmp_path):
        table = {"a": np.arange(20) / 10, "b": np.arange(20) % 7, "id": range(20), "t": np.arange(20) / 3}

        def of(columns, *options):
            rows = zip(*(table[name] for name in columns.split(",")), strict=True)
            content = "\n".join([columns, *(",".join(map(str, row)) for row in rows), ""])
            (tmp_path / "table.csv").write_text(content)
            if not (tmp_path / "m").exists():
                run("train", "--data", "table.csv", "--hidden", 4, "--epochs", 1, "--out", "m")
            result = run("gradcheck", "m", "--data", "table.csv", "--json", "report.json", *options)
            assert result.code == 0, result.err
            return json.loads((tmp_path / "report.json").read_text())["loss"]

        return of

    def test_order_and_other_columns_change_nothing(self, loss_on):
        loss = loss_on("a,b,t")
        assert loss_on("b,a,t") == loss_on("id,b,a,t") == loss_on("t,b,id,a", "--target", "t") == loss

    def test_columns_that_are_not_there(self, run, loss_on, tmp_path):
        loss_on("a,b,t")
        (tmp_path / "other.csv").write_text("a,c,t\n" + "1,2,0.5\n" * 5)
        result = run("gradcheck", "m", "--data", "other.csv")
        result.refused("--data: got other without the feature 'b', expected the features of m")


def test_the_target_of_the_training_is_one_of_csv_files(run, tmp_path):
    (tmp_path / "table.csv").write_text("t,a\n" + "".join(f"{i / 3},{i}\n" for i in range(20)))
    run("train", "--data", "table.csv", "--target", "t", "--hidden", 4, "--epochs", 1, "--out", "m")
    np.savez(tmp_path / "table.npz", X=np.arange(20.0)[:, np.newaxis], y=np.arange(20) / 3)
    assert run("gradcheck", "m", "--data", "table.npz").code == 0


def test_every_option_reaches_the_check(run):
    result = run("gradcheck", "--data", "xy", "--hidden", "5,3", "--activation", "tanh", "--batch-norm", "--dropout",
                 0.2, "--loss", "huber", "--seed", 4, "--samples", 20, "--backend", "numpy")  # fmt: skip
    assert result.code == 0
    assert "53 parameters, 20 samples of xy, huber" in result.out
    assert "5.weight" in result.out  # a batch normalisation, behind dense, normalisation, tanh, dropout, dense
    assert run("gradcheck", "--data", "xy", "--hidden", "none").out.startswith("3 parameters")


def test_the_seed_also_decides_the_dropout_masks(run, tmp_path):
    parts = {
        "X_train": np.arange(60.0).reshape(20, 3),
        "y_train": np.ones(20),
        "X_test": np.ones((1, 3)),
        "y_test": np.ones(1),
    }
    np.savez(tmp_path / "fixed.npz", **parts)
    ms.MLP([3, 40, 1], dropout=0.5).save("m")
    losses = []
    for seed in (1, 1, 2):
        run("gradcheck", "m", "--data", "fixed.npz", "--seed", seed, "--json", "report.json")
        losses.append(json.loads((tmp_path / "report.json").read_text())["loss"])
    assert losses[0] == losses[1] != losses[2]


@dataclass(frozen=True)
class Lying(ReLU):
    """A ReLU whose gradient is wrong by 0.05 %."""

    def backward(self, parameters, cache, dy):
        dx, grads = super().backward(parameters, cache, dy)
        return dx * 1.0005, grads


def test_a_wrong_gradient_fails(run, monkeypatch, tmp_path):
    monkeypatch.setitem(ACTIVATIONS, "relu", Lying())
    result = run("gradcheck", "--data", "xy", "--hidden", 4, "--json", "report.json", "--backend", "numpy")
    assert (result.code, result.err) == (1, "")
    assert "FAILED" in result.out
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "nunpy"], ["--backend: got 'nunpy'", "did you mean 'numpy'?"]),
        (["--activation", "rleu"], ["--activation: got 'rleu'", "did you mean 'relu'?"]),
        (["--loss", "mes"], ["--loss: got 'mes'", "did you mean"]),
        (["--loss", "mse"], ["--loss", "10 classes"]),
        (["--data", "digit"], ["--data: got 'digit'", "did you mean 'digits'?"]),
        (["--data", ""], ["--data: got ''"]),
        (["--hidden", "0"], ["--hidden: got '0'"]),
        (["--samples", 0], ["--samples: got 0"]),
        (["--samples", 1, "--batch-norm"], ["--samples: got one sample of digits, expected at least 2"]),
        (["--seed", -1], ["--seed: got -1"]),
        (["--json", "missing/report.json"], ["--json"]),
        (["none.safetensors"], ["none.safetensors"]),
    ],
)
def test_bad_options(run, arguments, words):
    run("gradcheck", *arguments).refused(*words)


@pytest.mark.parametrize("source", [["--samples", 1], ["--samples", 9, "--data", "one.npz"]])
def test_a_single_sample_and_batch_norm(run, tmp_path, source):
    one = {"X_train": np.ones((1, 2)), "y_train": [0.5], "X_test": np.ones((1, 2)), "y_test": [0.5]}
    np.savez(tmp_path / "one.npz", **one)
    model = ms.MLP([2, 4, 1], batch_norm=True)
    model.save("m")
    run("gradcheck", "m", *source).refused("--samples: got one sample of ", "expected at least 2")
    model.freeze(1)
    model.save("frozen")
    assert run("gradcheck", "frozen", *source).code == 0


@pytest.mark.parametrize("option", [("--hidden", "4"), ("--activation", "relu"), ("--dropout", 0.0), ("--batch-norm",)])
def test_a_model_has_its_own_architecture(run, option):
    ms.MLP([3, 4, 1]).save("m")
    run("gradcheck", "m", *option).refused(option[0], "MODEL")


@pytest.mark.parametrize("option", ["target", "task"])
def test_options_of_data_need_data(run, option):
    ms.MLP([3, 4, 1]).save("m")
    run("gradcheck", "m", f"--{option}", "zz").refused(f"--{option}: got 'zz', expected none without --data")


def test_data_of_another_width(run):
    ms.MLP([3, 4, 1]).save("m")
    run("gradcheck", "m", "--data", "xy").refused("--data: got xy of 2 features, expected 3")
