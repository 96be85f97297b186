"""Batch normalisation: what comes out is normalised, and the running statistics follow PyTorch's convention."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_scratch import BatchNorm
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import Context
from tests.tolerances import assert_close, assert_parity

PLAIN = {"weight": np.ones(4), "bias": np.zeros(4)}


def context(training=True, mean=0.0, variance=1.0):
    return Context(training, buffers={"running_mean": np.full(4, mean), "running_var": np.full(4, variance)})


@given(n=st.integers(2, 40), shift=st.floats(-100, 100), scale=st.floats(0.1, 100), seed=st.integers(0, 99))
def test_the_output_has_mean_0_and_variance_1(n, shift, scale, seed):
    x = np.random.default_rng(seed).normal(shift, scale, (n, 4)) + np.arange(n)[:, np.newaxis] * scale
    y, _ = BatchNorm(4, eps=1e-12).forward(PLAIN, x, context())
    rounding = 8 * n * np.finfo(float).eps * (1 + np.abs(x).max() / scale)
    assert_close(y.mean(axis=0), np.zeros(4), rounding)
    assert_close(y.var(axis=0), np.ones(4), rounding + 1e-12 / x.var(axis=0).min())


def test_running_statistics_move_by_momentum_and_keep_the_unbiased_variance(rng):
    layer, x = BatchNorm(4, momentum=0.3), rng.normal(2.0, 3.0, (7, 4))
    given_buffers = context(mean=5.0, variance=2.0).buffers
    _, cache = layer.forward(PLAIN, x, context())
    new = layer.next_buffers(given_buffers, cache)
    assert_parity(new["running_mean"], 0.7 * 5.0 + 0.3 * x.mean(axis=0), tolerance=1e-14)
    assert_parity(new["running_var"], 0.7 * 2.0 + 0.3 * x.var(axis=0, ddof=1), tolerance=1e-14)


def test_inference_uses_the_running_statistics(rng):
    x = rng.normal(size=(3, 4))
    own = {"weight": np.full(4, 2.0), "bias": np.full(4, 1.0)}
    y, _ = BatchNorm(4, eps=0.5).forward(own, x, context(training=False, mean=3.0, variance=1.5))
    assert_parity(y, 2.0 * (x - 3.0) / np.sqrt(2.0) + 1.0, tolerance=1e-14)
    alone, _ = BatchNorm(4, eps=0.5).forward(own, x[:1], context(training=False, mean=3.0, variance=1.5))
    assert np.array_equal(alone, y[:1])


def test_a_feature_without_variance_stays_finite():
    x = np.full((5, 4), 7.0)
    y, cache = BatchNorm(4).forward(PLAIN, x, context())
    assert np.array_equal(y, np.zeros((5, 4)))
    dx, _ = BatchNorm(4).backward(PLAIN, cache, np.ones((5, 4)))
    assert_close(dx, np.zeros((5, 4)), 1e-12)


def test_the_gradient_neither_shifts_nor_scales_the_batch(rng):
    """Adding to a feature, or stretching it, changes nothing that comes out; so dx is orthogonal to both."""
    x, dy = rng.normal(size=(9, 4)), rng.normal(size=(9, 4))
    layer = BatchNorm(4, eps=1e-12)
    _, cache = layer.forward(PLAIN, x, context())
    dx, _ = layer.backward(PLAIN, cache, dy)
    assert_close(dx.sum(axis=0), np.zeros(4), 1e-13)
    assert_close((dx * (x - x.mean(axis=0))).sum(axis=0), np.zeros(4), 1e-10)


def test_a_training_batch_of_one_is_refused_with_the_reason():
    with pytest.raises(ArgumentError, match=r"expected at least 2 samples .* one sample is its own mean"):
        BatchNorm(4).forward(PLAIN, np.ones((1, 4)), context())
    BatchNorm(4).forward(PLAIN, np.ones((1, 4)), context(training=False))
