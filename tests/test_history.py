"""The record of a fit: every step and epoch, as a table, as JSON in full precision, as a picture."""

import json
import sys

import numpy as np
import pytest

from mlp_scratch import MLP, History
from mlp_scratch.errors import MissingDependencyError
from mlp_scratch.history import Epoch

X = np.random.default_rng(0).normal(size=(20, 4))
Y = np.random.default_rng(1).integers(0, 3, 20)


def classification():
    return MLP([4, 3]).fit(X, Y, epochs=3, batch_size=8, validation=(X[:5], Y[:5]))


def regression():
    return MLP([4, 1]).fit(X, X[:, 0], loss="mse", epochs=3, batch_size=8)


def test_json_holds_everything_in_full_precision(tmp_path):
    history = classification()
    text = history.to_json(tmp_path / "history.json")
    assert (tmp_path / "history.json").read_text(encoding="utf-8") == text + "\n"
    record = json.loads(text)
    assert record["steps"]["loss"] == history.losses.tolist()
    assert record["steps"]["accuracy"] == history.accuracies.tolist()
    assert [Epoch(**epoch) for epoch in record["epochs"]] == history.epochs
    assert record["stopped"] == ""


def test_json_of_a_regression_has_nulls_and_no_nan():
    def fail(text):
        raise AssertionError(f"{text} is not JSON")

    record = json.loads(regression().to_json(), parse_constant=fail)
    assert record["steps"]["accuracy"] == [None] * 9
    assert {epoch["accuracy"] for epoch in record["epochs"]} == {None}


def test_json_has_texts_for_infinity_and_nan(tmp_path):
    def fail(text):
        raise AssertionError(f"{text} is not JSON")

    history = History(np.array([np.inf]), np.array([1.0]), [Epoch(1, 0.5, 1.0, np.inf, np.nan, 2.0, 1e4)])
    text = history.to_json(tmp_path / "history.json")
    assert (tmp_path / "history.json").read_text(encoding="utf-8") == text + "\n"
    record = json.loads(text, parse_constant=fail)
    assert record["steps"]["loss"] == ["Infinity"]
    assert [record["epochs"][0][name] for name in ("loss", "val_loss", "val_accuracy")] == [0.5, "Infinity", "NaN"]


def test_what_a_prompt_shows_is_one_line():
    assert repr(History()) == "<History of 0 steps, 0 whole epochs>"
    epoch = Epoch(1, 0.5, None, 0.25, None, 2.0, 1e4)
    history = History(np.zeros(3), np.zeros(3), [epoch], stopped="interrupted")
    assert repr(history) == "<History of 3 steps, 1 whole epoch: loss 0.50000, val_loss 0.25000; stopped: interrupted>"


def test_table_has_a_line_an_epoch_and_dashes_where_there_is_nothing():
    lines = regression().table().splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "samples/s"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3"]
    assert lines[1].split()[2:5] == ["-", "-", "-"]
    assert len({len(line) for line in lines}) == 1
    history = classification()
    assert f"{history.epochs[0].loss:.5f}" in history.table().splitlines()[1]


def test_columns():
    history = classification()
    assert history.column("epoch") == [1, 2, 3]
    assert history.column("val_loss") == [epoch.val_loss for epoch in history.epochs]


@pytest.mark.parametrize("make", [classification, regression, History])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot_is_an_image(make, suffix, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"curves.{suffix}"
    make().plot(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG") if suffix == "png" else b"<svg" in content


def test_plot_shows_training_and_validation(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.svg"
    classification().plot(path)
    text = path.read_text(encoding="utf-8")
    for word in ("training", "validation", "loss", "accuracy", "epoch"):
        assert f"<!-- {word} -->" in text, f"{word} is not written in the picture"


def test_plot_without_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mlp-scratch\[studies\]'$"):
        History().plot(tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
