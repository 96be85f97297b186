"""The gradient check turns red on small lies: the mistakes that people make when they write a backward pass.

Each lie is told by a layer or loss of the engine itself, patched, and the check must name the parameter concerned.
A check that is green on the honest engine (tests of `gradcheck` itself) means something only because of these.
"""

import numpy as np
import pytest

from mlp_scratch import Dense, ReLU, Sequential, Softplus, Tanh
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.gradcheck import gradcheck
from mlp_scratch.layers import LAYERS
from mlp_scratch.layers.base import Activation
from mlp_scratch.losses import LOSSES, Loss
from tests import examples
from tests.tolerances import GRADCHECK

X = np.random.default_rng(0).normal(size=(5, 6))
Y = np.random.default_rng(1).integers(0, 6, 5)


def square(activation=None):
    """Square throughout, so that a transposed matrix still fits."""
    return Sequential([Dense(6, 6), activation or Tanh(), Dense(6, 6)], dtype="float64", seed=3)


def large():
    """Of more than 2,000 parameters, which are checked along random directions."""
    return Sequential([Dense(6, 160), Tanh(), Dense(160, 6)], dtype="float64", seed=3)


def check(model=None, loss="cross_entropy", **options):
    return gradcheck(model or square(), X, Y, loss=loss, **options)


def lie(monkeypatch, cls, change):
    """Let `cls.backward` return what `change` makes of the truth."""
    truth = cls.backward

    def backward(self, parameters, cache, dy):
        dx, grads = truth(self, parameters, cache, dy)
        return change(dx, grads, parameters, cache, dy)

    monkeypatch.setattr(cls, "backward", backward)


SIZES = pytest.mark.parametrize("build", [square, large])


@SIZES
def test_the_truth_passes(build):
    report = check(build())
    assert report.passed
    assert report.max_error <= GRADCHECK


@SIZES
@pytest.mark.parametrize("factor", [1.0005, 0.9995, 1 + 1e-6])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_gradient_scaled_a_little(build, name, factor, monkeypatch):
    lie(monkeypatch, Dense, lambda dx, grads, *_: (dx, grads | {name: grads[name] * factor}))
    report = check(build())
    assert not report.passed
    assert report.worst.endswith(name)
    assert report.max_error == pytest.approx(abs(1 - 1 / max(factor, 1 / factor)), rel=0.2)


@SIZES
def test_a_gradient_scaled_a_little_on_its_way_back(build, monkeypatch):
    lie(monkeypatch, Dense, lambda dx, grads, *_: (dx * 1.0005, grads))
    report = check(build())
    assert not report.passed
    assert report.worst.startswith("0.")


@SIZES
def test_a_dropped_bias_term(build, monkeypatch):
    lie(monkeypatch, Dense, lambda dx, grads, *_: (dx, grads | {"bias": np.zeros_like(grads["bias"])}))
    report = check(build())
    assert not report.passed
    assert report.worst.endswith("bias")


@SIZES
def test_a_bias_gradient_of_one_sample_only(build, monkeypatch):
    lie(monkeypatch, Dense, lambda dx, grads, p, cache, dy: (dx, grads | {"bias": dy[0]}))
    report = check(build())
    assert not report.passed
    assert report.worst.endswith("bias")


def test_a_swapped_transpose_of_the_weight_gradient(monkeypatch):
    lie(monkeypatch, Dense, lambda dx, grads, *_: (dx, grads | {"weight": grads["weight"].T}))
    report = check()
    assert not report.passed
    assert report.worst.endswith("weight")


def test_a_swapped_transpose_on_the_way_back(monkeypatch):
    lie(monkeypatch, Dense, lambda dx, grads, p, cache, dy: (dy @ p["weight"].T, grads))
    report = check()
    assert not report.passed
    assert report.worst.startswith("0.")


@SIZES
@pytest.mark.parametrize("loss", LOSSES)
def test_a_missing_division_by_the_batch_size(build, loss, monkeypatch):
    truth = Loss.gradient
    monkeypatch.setattr(Loss, "gradient", lambda self, z, t, w=None: truth(self, z, t, w) * len(z))
    y = examples.TARGETS[loss][0](np.random.default_rng(0), 5, 6)
    report = gradcheck(build(), X, y, loss=loss)
    assert not report.passed
    assert report.max_error == pytest.approx(1 - 1 / len(X), rel=0.2)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy"])
def test_a_missing_division_by_the_number_of_outputs(loss, monkeypatch):
    cls = type(LOSSES[loss])
    truth = cls.sample_gradients
    monkeypatch.setattr(cls, "sample_gradients", lambda self, z, t: truth(self, z, t) * z.shape[1])
    y = examples.TARGETS[loss][0](np.random.default_rng(0), 5, 6)
    assert not gradcheck(square(), X, y, loss=loss).passed


def test_weights_that_the_gradient_forgets(monkeypatch):
    truth = Loss.gradient
    monkeypatch.setattr(Loss, "gradient", lambda self, z, t, w=None: truth(self, z, t))
    weights = np.linspace(0.1, 1, 5)
    assert check().passed
    assert not check(sample_weight=weights).passed


@SIZES
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("element", [0, 50, -1])
def test_one_element_that_is_not_finite(build, element, value, monkeypatch):
    truth = NumpyBackend.loss_and_gradient

    def spoilt(self, *args, **options):
        loss, gradient = truth(self, *args, **options)
        gradient[element] = value
        return loss, gradient

    monkeypatch.setattr(NumpyBackend, "loss_and_gradient", spoilt)
    report = check(build())
    assert not report.passed
    assert report.max_error == np.inf
    if element == -1:
        assert report.worst == "2.bias"


def test_a_whole_gradient_of_nan(monkeypatch):
    lie(monkeypatch, Dense, lambda dx, grads, *_: (dx * np.nan, {k: g * np.nan for k, g in grads.items()}))
    assert not check().passed


def test_one_element_among_many(monkeypatch):
    def spoil(dx, grads, *_):
        weight = grads["weight"].copy()
        weight[3, 5] *= 1.0005
        return dx, grads | {"weight": weight}

    lie(monkeypatch, Dense, spoil)
    report = check()
    assert not report.passed
    assert report.worst_entry.index == (3, 5)


PARAMETRIC = [layer for layer in examples.layers() if layer.parameter_shapes()]


def between(layer):
    model = Sequential(
        [Dense(6, examples.WIDTH), layer, Dense(layer.out_features(examples.WIDTH), 6)], dtype="float64", seed=3
    )
    model.flat[...] = np.random.default_rng(5).normal(0, 0.7, model.flat.shape)
    return model


@pytest.mark.parametrize("layer", examples.layers(), ids=examples.name)
def test_every_layer_that_sends_back_a_little_too_much(layer, monkeypatch):
    assert check(between(layer)).passed
    lie(monkeypatch, type(layer), lambda dx, grads, *_: (dx * 1.0005, grads))
    report = check(between(layer))
    assert not report.passed
    assert report.worst.startswith(("0.", "1.") if isinstance(layer, Dense) else "0.")


@pytest.mark.parametrize("layer", PARAMETRIC, ids=examples.name)
def test_every_parameter_of_every_layer(layer, monkeypatch):
    for name in layer.parameter_shapes():
        with monkeypatch.context() as patch:
            lie(patch, type(layer), lambda dx, grads, *_, n=name: (dx, grads | {n: grads[n] * 1.0005}))
            report = check(between(layer))
            assert not report.passed
            assert report.worst.endswith(name)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_with_a_gradient_scaled_a_little(loss, monkeypatch):
    cls = type(LOSSES[loss])
    y = examples.TARGETS[loss][0](np.random.default_rng(0), 5, 6)
    assert gradcheck(square(), X, y, loss=loss).passed
    truth = cls.sample_gradients
    monkeypatch.setattr(cls, "sample_gradients", lambda self, z, t: truth(self, z, t) * 1.0005)
    assert not gradcheck(square(), X, y, loss=loss).passed


def test_a_slope_of_the_wrong_side_of_a_kink(monkeypatch):
    """A kink excuses nothing away from it: leaking a little where ReLU is flat is a wrong gradient."""
    assert check(square(ReLU())).passed
    monkeypatch.setattr(ReLU, "derivative", lambda self, x: np.where(x > 0, 1.0, 0.01))
    assert not check(square(ReLU())).passed


def test_batch_statistics_taken_for_constants(monkeypatch):
    """The classic mistake in batch normalisation: dx = γ dy / σ."""
    cls = LAYERS["batch_norm"]
    lie(monkeypatch, cls, lambda dx, grads, p, cache, dy: (p["weight"] * cache.inverse_deviation * dy, grads))
    report = check(between(cls().bind(6)))
    assert not report.passed
    assert report.worst.startswith("0.")


def test_a_dropout_mask_that_is_not_scaled_back(monkeypatch):
    cls = LAYERS["dropout"]
    lie(monkeypatch, cls, lambda dx, grads, p, cache, dy: (dy * (cache > 0), grads))
    assert not check(between(cls(0.4))).passed


def test_an_activation_that_forgets_the_chain_rule(monkeypatch):
    monkeypatch.setattr(Activation, "backward", lambda self, parameters, cache, dy: (self.derivative(cache), {}))
    assert not check(square(Softplus())).passed
