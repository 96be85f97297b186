"""`mlp-scratch train` that ends early: for want of patience, at a divergence, with Ctrl-C."""

import json
import os
import re
import signal

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.cli.train_report import Report
from tests.cli.conftest import QUICK


def recorded(path):
    with open(path) as file:
        return json.load(file)


def test_patience_ends_the_training(run):
    result = run("train", "--data", "xy", "--lr", 0.5, "--validation", 0.2, "--patience", 1, "--epochs", 50)
    assert "stopped: val_loss has not improved for 1 epochs" in result.out


class TestDivergence:
    """Steps so large that training diverges; what was finite before is kept."""

    OPTIONS = ("train", *QUICK, "--optimizer", "sgd", "--lr", 1e30)

    def test_is_told_and_saves_nothing_unasked(self, run, tmp_path):
        result = run(*self.OPTIONS)
        assert result.code == 1
        assert re.fullmatch(r"mlp-scratch: training diverged: [^\n]* or scaled features\n", result.err)
        assert list(tmp_path.iterdir()) == []

    def test_saves_the_last_finite_model_and_the_record(self, run):
        result = run(*self.OPTIONS, "--out", "m.safetensors", "--json", "run.json")
        assert result.code == 1
        assert result.err.endswith("; the model is saved to m.safetensors; --json written to run.json\n")
        assert result.err.count("\n") == 1
        step = int(re.search(r"not finite at step (\d+);", result.err)[1])
        model = ms.load("m.safetensors")
        assert model.training.step == step - 1 > 0
        assert np.isfinite(model.flat).all()
        assert model.metadata["class_names"] == list("0123456789")
        record = recorded("run.json")
        assert record["training"]["optimizer"]["lr"] == 1e30
        assert len(record["history"]["steps"]["loss"]) == step - 1
        assert re.fullmatch(rf"diverged: .* is not finite at step {step}", record["history"]["stopped"])
        assert record["scores"] == {}

    def test_leaves_an_earlier_model_alone(self, run, tmp_path):
        (tmp_path / "m.safetensors").write_bytes(b"an earlier model")
        result = run(*self.OPTIONS, "--out", "m.safetensors")
        assert result.code == 1
        assert result.err.endswith("; the model is saved to m.diverged.safetensors\n")
        assert (tmp_path / "m.safetensors").read_bytes() == b"an earlier model"
        assert np.isfinite(ms.load("m.diverged.safetensors").flat).all()

    def test_at_the_first_step_saves_the_initial_parameters(self, run, tmp_path):
        np.savez(tmp_path / "huge.npz", X=np.eye(50), y=np.linspace(-1e38, 1e38, 50))
        assert run("train", "--data", "huge.npz", *QUICK, "--out", "m", "--json", "run.json").code == 1
        assert ms.load("m").training.step == 0
        assert recorded("run.json")["history"]["steps"]["loss"] == []

    def test_is_not_saved_over_another_output(self, run, tmp_path):
        (tmp_path / "m.st").write_bytes(b"an earlier model")
        result = run(*self.OPTIONS, "--out", "m.st", "--json", "m.diverged.st")
        result.refused("--json: got 'm.diverged.st', expected a file of its own")
        assert run(*self.OPTIONS, "--out", "n.st", "--json", "n.diverged.st").code == 1


class TestFullDisk:
    """A disk that fills up while the network is trained: what can be written and said is."""

    @pytest.fixture(autouse=True)
    def full(self, monkeypatch):
        def fail(self, path):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(ms.MLP, "save", fail)

    def test_costs_neither_the_scores_nor_the_record(self, run):
        result = run("train", *QUICK, "--out", "m.safetensors", "--json", "run.json")
        assert result.code == 2
        assert "test " in result.out
        assert result.out.endswith("\n--json written to run.json\n")
        assert result.err == (
            "mlp-scratch: --out: got 'm.safetensors' (No space left on device), expected a file that can be written; "
            "make room for it, or choose another place\n"
        )
        assert set(recorded("run.json")["scores"]) == {"training", "test"}

    def test_after_a_divergence_costs_no_record_either(self, run):
        result = run(*TestDivergence.OPTIONS, "--out", "m", "--json", "run.json")
        assert result.code == 1
        assert result.err.endswith(
            "; the model can't be saved to m (No space left on device); --json written to run.json\n"
        )
        assert recorded("run.json")["scores"] == {}


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

    def test_writes_the_record(self, run):
        result = run("train", *QUICK, "--json", "run.json")
        assert result.code == 130
        assert result.err == "mlp-scratch: interrupted at step 45, after 1 whole epochs; --json written to run.json\n"
        history = recorded("run.json")["history"]
        assert (len(history["steps"]["loss"]), len(history["epochs"]), history["stopped"]) == (45, 1, "interrupted")

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
