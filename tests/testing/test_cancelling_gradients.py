"""Gradients that are little or nothing of what they are made of: right ones pass, wrong ones are still seen."""

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.gradcheck import gradcheck
from mlp_scratch.layers import LAYERS, Dense


def normalised(seed, activation="tanh"):
    return ms.MLP([3, 4, 2], activation=activation, batch_norm=True, seed=seed)


def batch(seed, n, scale):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) * scale, rng.integers(0, 2, n)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid"])
@pytest.mark.parametrize(("n", "scale"), [(5, 1e-3), (8, 1e-2), (2, 1.0), (2, 1e-3), (256, 1e-3)])
def test_a_bias_in_front_of_batch_normalisation_is_made_of_large_numbers(activation, n, scale):
    for seed in range(6):
        report = gradcheck(normalised(seed, activation), *batch(seed, n, scale))
        assert report.method == "complex"
        assert report.passed, str(report)


class LaysOn(NumpyBackend):
    """Adds a little to one element of the gradient."""

    name = "lays_on"
    element, little = 0, 0.0

    def loss_and_gradient(self, *args, **options):
        loss, g = super().loss_and_gradient(*args, **options)
        g[self.element] += self.little
        return loss, g


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_wrong_gradient_of_ordinary_size_is_seen_to_the_tolerance(scale, monkeypatch):
    monkeypatch.setitem(BACKENDS, "lays_on", LaysOn)
    model = normalised(1)
    report = gradcheck(model, *batch(1, 8, scale))
    for i, entry in enumerate(report.entries):
        if i % 3 or abs(entry.analytic) < 1e-3:
            continue
        assert entry.resolved
        monkeypatch.setattr(LaysOn, "element", i)
        monkeypatch.setattr(LaysOn, "little", 2e-7 * entry.analytic)
        wrong = gradcheck(model, *batch(1, 8, scale), backend="lays_on")
        assert (wrong.passed, wrong.worst, wrong.worst_entry.index) == (False, entry.parameter, entry.index)


def test_a_bias_that_is_not_taken_out_is_seen_at_any_scale(monkeypatch):
    """dx = γ dy / σ, as if the batch's statistics were constants."""
    batch_norm = LAYERS["batch_norm"]
    truth = batch_norm.backward
    monkeypatch.setattr(
        batch_norm,
        "backward",
        lambda self, p, cache, dy: (p["weight"] * cache.inverse_deviation * dy, truth(self, p, cache, dy)[1]),
    )
    for scale in (1.0, 1e-2, 1e-3):
        assert not gradcheck(normalised(1), *batch(1, 8, scale)).passed


def test_a_layer_that_takes_float64_alone_is_checked_all_the_same(monkeypatch):
    truth = Dense.forward

    def forward(self, parameters, x, context):
        assert x.dtype != np.float32
        return truth(self, parameters, x, context)

    monkeypatch.setattr(Dense, "forward", forward)
    assert gradcheck(ms.MLP([3, 4, 2], activation="tanh", seed=1), *batch(1, 8, 1.0)).passed


def test_what_float32_cannot_hold_excuses_nothing(monkeypatch):
    monkeypatch.setitem(BACKENDS, "lays_on", LaysOn)
    monkeypatch.setattr(LaysOn, "element", -1)
    monkeypatch.setattr(LaysOn, "little", 1e-3)
    X, y = batch(1, 8, 1e200)
    model = ms.MLP([3, 4, 2], activation="tanh", seed=1)
    assert gradcheck(model, X, y).passed
    assert not gradcheck(model, X, y, backend="lays_on").passed
