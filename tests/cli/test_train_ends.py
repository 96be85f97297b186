"""`mlp-scratch train` that ends early: for want of patience, at a divergence, with Ctrl-C."""

import os
import signal

import pytest

import mlp_scratch as ms
from mlp_scratch.cli.train_report import Report
from tests.cli.conftest import QUICK


def test_patience_ends_the_training(run):
    result = run("train", "--data", "xy", "--lr", 0.5, "--validation", 0.2, "--patience", 1, "--epochs", 50)
    assert "stopped: val_loss has not improved for 1 epochs" in result.out


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
