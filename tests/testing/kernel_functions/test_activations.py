"""Activations and their derivatives, those with a learned slope among them, beside the layers."""

from functools import cache
from math import sqrt

import numpy as np
import pytest

from mlp_kernels.cpu import activations, slopes
from mlp_scratch.layers import ELU, GELU, SELU, Context, LeakyReLU, PReLU, ReLU, Sigmoid, Softplus, Tanh
from tests.testing.kernel_calls import DTYPES, ORDINARY, calling, inlining, tile_of
from tests.tolerances import assert_close, eps, function_bound

pytestmark = pytest.mark.filterwarnings("ignore:(over|under)flow encountered:RuntimeWarning")


LAYERS = {
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(0.25),
    "elu": ELU(0.5),
    "selu": SELU(),
    "gelu": GELU(),
    "gelu_tanh": GELU("tanh"),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "softplus": Softplus(2.0, threshold=3.0),
}


def two(constants):
    return (*constants, 0.0, 0.0)[:2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_an_activation_is_the_layer(name, dtype):
    layer, n = LAYERS[name], len(ORDINARY)
    forward, backward = (
        calling(make(function), 2, 3, tile=True)
        for make, function in zip(
            (activations.forward_of, activations.backward_of), activations.FUNCTIONS[name], strict=True
        )
    )
    x, y = np.append(ORDINARY, 1.0).astype(dtype), np.full(n + 1, 9.0, dtype)
    forward(tile_of(dtype), x, y, n, *two(layer.constants()))
    exact = layer.function(x[:n].astype(np.float64))
    # The worst condition is that of e^x at -40: the argument's own rounding is multiplied by it.
    assert_close(y[:n], exact, function_bound(exact, dtype, 64) + 4 * eps(dtype) * np.abs(x[:n]), name)
    assert y[n] == 9.0
    dy = np.linspace(-2, 3, n + 1).astype(dtype)
    given = dy.copy()
    backward(tile_of(dtype), x, dy, n, *two(layer.constants()))
    slope = layer.derivative(x[:n].astype(np.float64))
    bound = function_bound(given[:n] * slope, dtype, 256) + 4 * eps(dtype) * np.abs(given[:n])  # GELU's terms cancel
    assert_close(dy[:n], given[:n] * slope, bound, name)
    assert dy[n] == given[n]


@pytest.mark.parametrize("name", LAYERS)
def test_an_activation_passes_what_is_not_a_number(name):
    function, slope = (calling(f, 0, 3) for f in activations.FUNCTIONS[name])
    a, b = two(LAYERS[name].constants())
    assert np.isnan(function(np.float64("nan"), a, b))
    assert np.isnan(slope(np.float64("nan"), a, b)) or name in ("relu", "leaky_relu")


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "gelu", "gelu_tanh", "tanh", "elu", "selu"])
def test_small_values_keep_their_digits(name):
    function, slope = (calling(f, 0, 3) for f in activations.FUNCTIONS[name])
    a, b = two(LAYERS[name].constants())
    for x in (-12.0, -1e-9, 1e-9):
        exact = LAYERS[name].function(np.array([x]))[0]
        assert_close(function(np.float64(x), a, b), exact, 1e-11 * abs(exact))
    if name == "sigmoid":
        assert_close(slope(np.float64(40.0), a, b), np.exp(-40.0), 1e-13 * np.exp(-40.0))
    if name == "tanh":
        assert_close(slope(np.float64(20.0), a, b), 4 * np.exp(-40.0), 1e-13 * np.exp(-40.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_learned_slope_is_the_layer(dtype):
    layer, n = PReLU(0.25, per_feature=True, n_features=1), len(ORDINARY)
    x, y = np.append(ORDINARY, -1.0).astype(dtype), np.full(n + 1, 9.0, dtype)
    slope = np.dtype(dtype).type(0.3)
    calling(slopes.forward, 2, 2)(x, y, n, slope)
    parameters = {"weight": np.array([slope], np.float64)}
    exact, cache = layer.forward(parameters, ORDINARY[:, None], Context())
    assert_close(y[:n], exact[:, 0], 4 * eps(dtype) * np.abs(exact[:, 0]))
    assert y[n] == 9.0
    dy, lanes = np.linspace(-2, 3, n + 1).astype(dtype), np.full(n + 1, 0.5, dtype)
    given = dy.copy()
    calling(slopes_backward(), 3, 2)(x, dy, lanes, n, slope)
    dx, grads = layer.backward(parameters, cache, given[:n, None].astype(np.float64))
    assert_close(dy[:n], dx[:, 0], 4 * eps(dtype) * np.abs(dx[:, 0]))
    assert dy[n] == given[n]
    assert lanes[n] == 0.5
    assert_close((lanes[:n] - 0.5).sum(dtype=np.float64), grads["weight"][0], 64 * n * eps(dtype) * 40)


@cache
def slopes_backward():
    function = inlining(slopes.backward)

    def call(x, dy, lanes, count, slope):
        function(x, dy, count, slope, lanes)

    return call


def test_constants_of_the_formulas():
    assert sqrt(2 / np.pi) == activations.ROOT_2_OVER_PI
