"""Batch normalisation of one feature beside the layer."""

from functools import cache

import numpy as np
import pytest

from mlp_kernels.cpu import batch_norm
from mlp_scratch.layers import BatchNorm, Context
from tests.testing.kernel_calls import DTYPES, calling
from tests.tolerances import assert_close, eps

pytestmark = pytest.mark.filterwarnings("ignore:(over|under)flow encountered:RuntimeWarning")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 4, 5, 11])
def test_batch_normalisation_is_the_layer(n, dtype):
    width, step = 4, 12
    panels = -(-n // width)
    rng = np.random.default_rng(n)
    values, dvalues = rng.integers(-16, 16, n) / 8 + 2, rng.integers(-16, 16, n) / 8
    x, dy = (np.full(panels * step, 7.0, dtype) for _ in range(2))
    inside = [b * step + j for b in range(panels) for j in range(width)][:n]
    x[inside], dy[inside] = values, dvalues
    lanes = np.full(2 * width + 1, 9.0, dtype)
    mean, variance = statistics(x, step, n, width, lanes)
    layer = BatchNorm(1, eps=0.25)
    parameters = {"weight": np.array([1.5]), "bias": np.array([-0.5])}
    exact, cache = layer.forward(parameters, values[:, None], Context(training=True))
    assert_close(mean, values.mean(), 64 * eps(dtype) * 4)
    assert_close(variance, values.var(), 64 * eps(dtype) * 16)
    of = np.dtype(dtype).type
    inverse = calling(batch_norm.inverse_deviation, 0, 2)(of(variance), 0.25)
    assert_close(inverse, cache.inverse_deviation[0], 64 * eps(dtype))
    y = np.full(len(x) + step, 9.0, dtype)  # with a panel that is none of the samples'
    arguments = (step, n, width, of(mean), of(inverse), of(1.5), of(-0.5))
    calling(batch_norm.forward, 2, 7)(np.append(x, x[:step]), y, *arguments)
    assert_close(y[inside], exact[:, 0], 256 * eps(dtype))
    untouched = np.setdiff1d(np.arange(len(x)), [b * step + j for b in range(panels) for j in range(width)])
    assert (y[untouched] == 9.0).all()
    assert (y[len(x) :] == 9.0).all()
    for training in (True, False):
        out = dy.copy()
        d_weight, d_bias = backward(x, out, lanes, step, n, width, of(mean), of(inverse), of(1.5), training)
        used = cache if training else cache._replace(mean=None)
        dx, grads = layer.backward(parameters, used, dvalues[:, None])
        assert_close(out[inside], dx[:, 0], 512 * eps(dtype))
        assert_close(d_weight, grads["weight"][0], 512 * n * eps(dtype))
        assert_close(d_bias, grads["bias"][0], 64 * n * eps(dtype))
        beyond = [b * step + j for b in range(panels) for j in range(width)][n:]
        assert (out[beyond] == 0).all()
        assert (out[untouched] == 7.0).all()
        assert lanes[-1] == 9.0


def statistics(x, step, n, width, lanes):
    return calling(lanes_first(batch_norm.statistics), 2, 3)(x, lanes, step, n, width)


def backward(x, dy, lanes, *rest):
    return calling(lanes_before_numbers(batch_norm.backward), 3, 7)(x, dy, lanes, *rest)


@cache
def lanes_first(function):
    def call(x, lanes, step, n, width):
        return function(x, step, n, width, lanes)

    return call


@cache
def lanes_before_numbers(function):
    def call(x, dy, lanes, step, n, width, mean, inverse, weight, training):
        return function(x, dy, step, n, width, mean, inverse, weight, training, lanes)

    return call


@pytest.mark.parametrize("dtype", DTYPES)
def test_running_statistics_move(dtype):
    running = np.array([9.0, 2.0, 9.0], dtype)
    calling(batch_norm.move, 1, 3)(running, 1, np.dtype(dtype).type(4.0), 0.25)
    assert running.tolist() == [9.0, 2.5, 9.0]
