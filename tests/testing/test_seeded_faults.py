"""Thirteen faults that finite differences at the usual 1e-5 let pass, each caught by the property that names it.

A fault is one wrong line, patched into the engine; the same check passes without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from mlp_scratch.layers import BatchNorm, Dense, Dropout, ReLU, Tanh
from mlp_scratch.layers.batch_norm import Cache
from mlp_scratch.losses import CrossEntropy, Loss
from mlp_scratch.optimizers import Adam, Optimizer
from mlp_scratch.program import Program
from mlp_scratch.testing import (
    PropertyError,
    check_backend,
    check_layer,
    check_loss,
    check_optimizer,
    check_running_statistics,
    strategies,
)

SMOOTHED = CrossEntropy(label_smoothing=0.125)
BATCHES = strategies.batches(4, min_size=2)


@dataclass(frozen=True)
class Fault:
    """One wrong line.

    Attributes:
        owner, attribute: what it is patched into.
        wrong: from what is there to what takes its place.
        check: what catches it.
        property: the property that is violated.
    """

    owner: type
    attribute: str
    wrong: Callable[[Any], Any]
    check: Callable[[], object]
    property: str


def dense_bias_over_the_wrong_axis(right):
    def backward(self, parameters, cache, dy):
        dx, grads = right(self, parameters, cache, dy)
        return dx, grads | ({"bias": dy.sum(axis=1)} if dy.shape[0] == dy.shape[1] else {})

    return backward


def dropout_scaled_by_p(right):
    def forward(self, parameters, x, context):
        y, mask = right(self, parameters, x, context)
        factor = (1 - self.p) / self.p
        return (y, mask) if mask is None else (y * factor, mask * factor)

    return forward


def unbiased_variance_in_forward(right):
    def forward(self, parameters, x, context):
        _, cache = right(self, parameters, x, context)
        factor = sqrt((len(x) - 1) / len(x))
        hat = cache.x_hat * factor
        wrong = Cache(hat, cache.inverse_deviation * factor, cache.mean, cache.variance)
        return parameters["weight"] * hat + parameters["bias"], wrong

    return forward


def biased_variance_remembered(right):
    def forward(self, parameters, x, context):
        y, cache = right(self, parameters, x, context)
        n = len(x)
        return y, cache._replace(variance=cache.variance * ((n - 1) / n))

    return forward


def mean_over_outputs(right):
    return staticmethod(lambda z, weights: right(z, weights) * (len(z) / z.shape[1]))


def smoothing_without_k(right):
    def smoothed(self, t, z):
        p = np.eye(z.shape[1])[t] if t.ndim == 1 else t
        return (1 - self.label_smoothing) * p + self.label_smoothing

    return smoothed


def cache_spoilt_by_backward(right):
    def backward(self, parameters, cache, dy):
        result = right(self, parameters, cache, dy)
        np.multiply(cache.x_hat, dy, out=cache.x_hat)
        return result

    return backward


def square_logits(loss):
    """Logits of as many samples as classes: where a mean over one can't be told from a mean over the other."""
    return st.tuples(
        strategies.batches(3, min_size=3, max_size=3), strategies.targets(loss, 3, 3), strategies.sample_weights(3)
    )


FAULTS = {
    "a gradient scaled by 1.0005": Fault(
        Tanh, "derivative", lambda right: lambda self, x: 1.0005 * right(self, x),
        lambda: check_layer(Tanh(), BATCHES), "derivative",
    ),
    "the subgradient of ReLU at 0 swapped": Fault(
        ReLU, "derivative", lambda right: lambda self, x: x >= 0,
        lambda: check_layer(ReLU(), BATCHES), "derivative",
    ),
    "the bias gradient summed over the wrong axis where N = H": Fault(
        Dense, "backward", dense_bias_over_the_wrong_axis,
        lambda: check_layer(Dense(4, 3), BATCHES), "derivative",
    ),
    "Adam's bias correction off by one step": Fault(
        Adam, "update",
        lambda right: lambda self, p, g, slots, *, step, **rest: right(self, p, g, slots, step=step + 1, **rest),
        lambda: check_optimizer(Adam()), "constant_gradient",
    ),
    "weight decay of biases, in the update": Fault(
        Optimizer, "_with_decay", lambda right: lambda self, p, g, lr, decayed: right(self, p, g, lr, 1.0),
        lambda: check_optimizer(Adam(weight_decay=0.1, decay="weights")), "decay_mask",
    ),
    "weight decay of biases, in the program": Fault(
        Program, "decayed", lambda right: property(lambda self: 1.0),
        lambda: check_backend("numpy", strategies.problems()), "decay_spares_biases",
    ),
    "dropout scaled by p instead of 1 - p": Fault(
        Dropout, "forward", dropout_scaled_by_p,
        lambda: check_layer(Dropout(0.25), BATCHES), "unbiased",
    ),
    "batch normalisation by the unbiased variance": Fault(
        BatchNorm, "forward", unbiased_variance_in_forward,
        lambda: check_layer(BatchNorm(4), BATCHES), "derivative",
    ),
    "the biased variance among the running statistics": Fault(
        BatchNorm, "forward", biased_variance_remembered,
        lambda: check_running_statistics(BatchNorm()), "running_statistics",
    ),
    "a mean over K instead of N where N = K": Fault(
        Loss, "shares", mean_over_outputs,
        lambda: check_loss(CrossEntropy(), square_logits(CrossEntropy())), "mean_over_samples",
    ),
    "label smoothing without 1/K": Fault(
        CrossEntropy, "_smoothed", smoothing_without_k,
        lambda: check_loss(SMOOTHED, square_logits(SMOOTHED)), "zero_at_optimum",
    ),
    "an in-place activation that overwrites what the layer before cached": Fault(
        ReLU, "function", lambda right: lambda self, x: np.maximum(x, 0, out=x),
        lambda: check_layer(ReLU(), BATCHES), "purity",
    ),
    "an in-place product in backward that spoils the cache": Fault(
        BatchNorm, "backward", cache_spoilt_by_backward,
        lambda: check_layer(BatchNorm(4), BATCHES), "repeatability",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_caught_by_the_property_that_names_it(name, monkeypatch):
    fault = FAULTS[name]
    right = getattr(fault.owner, fault.attribute)
    monkeypatch.setattr(fault.owner, fault.attribute, fault.wrong(right))
    with pytest.raises(PropertyError) as caught:
        fault.check()
    assert caught.value.property == fault.property
    assert "To see it again:" in str(caught.value)


@pytest.mark.parametrize("name", FAULTS)
def test_the_same_check_passes_without_the_fault(name):
    FAULTS[name].check()
