"""Losses and update rules in float32: a right dtype of wrong numbers is named."""

import numpy as np
import pytest

from mlp_scratch.losses import LOSSES, MSE
from mlp_scratch.optimizers import SGD, Adam
from mlp_scratch.testing import PropertyError, check_loss, check_optimizer

Z, T = np.array([[0.25, 1.0], [-1.0, 0.0]], np.float32), np.array([[1.0, 0.0], [3.0, 1.0]])


class Wrong(MSE):
    """In float32 only."""

    of_value, of_gradient = 1.0, 1.0

    def value(self, z, t, weights=None):
        value = super().value(z, t, weights)
        return value * np.float32(self.of_value) if z.dtype == np.float32 else value

    def gradient(self, z, t, weights=None):
        dz = super().gradient(z, t, weights)
        return dz * np.float32(self.of_gradient) if z.dtype == np.float32 else dz


@pytest.mark.parametrize(
    ("name", "factor", "of"),
    [
        ("of_value", np.nan, "the value"),
        ("of_value", 1.01, "the value"),
        ("of_gradient", 10.0, "dz["),
        ("of_gradient", 1.01, "dz["),
        ("of_gradient", np.nan, "dz["),
    ],
)
def test_a_loss_that_is_wrong_in_float32_is_named(name, factor, of, monkeypatch):
    check_loss(Wrong(), Z, T)
    monkeypatch.setattr(Wrong, name, factor)
    with pytest.raises(PropertyError, match=r"^dtype: float32 gives float64's numbers") as caught:
        check_loss(Wrong(), Z, T)
    assert caught.value.facts["of"].startswith(of)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_keeps_its_numbers(name, scale):
    targets = {"cross_entropy": np.array([0, 1]), "binary_cross_entropy": np.eye(2)}
    check_loss(LOSSES[name], Z * np.float32(scale), targets.get(name, T * scale))


def test_what_is_beyond_float32_is_not_compared():
    check_loss(MSE(), Z * np.float32(1e30), T, only=["dtype"])
    check_loss(MSE(), Z, T * 1e50, only=["dtype"])
    check_optimizer(SGD(), np.ones(1, np.float32), [[1e50]], only=["dtype"])


class Jumps(Adam):
    """Its steps are a multiple of what they should be, in float32 only."""

    factor = 10.0

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        rate = lr * self.factor if p.dtype == np.float32 and step > 2 else lr
        return super().update(p, g, slots, step=step, lr=rate, decayed=decayed)


@pytest.mark.parametrize("lr", [1e-4, 0.125])
@pytest.mark.parametrize("reference", [None, Adam()])
def test_a_rule_that_is_wrong_in_float32_is_named(lr, reference):
    p = np.array([0.5, -2.0], np.float32)
    check_optimizer(Adam(), p, lr=lr, reference=reference)
    with pytest.raises(PropertyError, match=r"^dtype: float32 gives float64's steps") as caught:
        check_optimizer(Jumps(), p, lr=lr, reference=reference)
    assert caught.value.facts["step"] > 2


@pytest.mark.parametrize("rule", [SGD(), SGD(momentum=0.99, nesterov=True), Adam(), Adam(eps_mode="keras")])
@pytest.mark.parametrize("lr", [1e-6, 0.125, 10.0])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
def test_rules_keep_their_numbers(rule, lr, size):
    check_optimizer(rule, np.full(3, size, np.float32), lr=lr, only=["dtype"])
