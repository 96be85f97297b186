"""The functions that kernels are made of, each beside the layer, loss or optimiser that specifies it.

They run compiled, and with NUMBA_DISABLE_JIT=1 as the Python that they are written in.
"""

import os
import subprocess
import sys
from functools import cache
from inspect import signature
from math import sqrt

import numpy as np
import pytest
from scipy.special import ndtr

from mlp_kernels.cpu import (
    activations,
    batch_norm,
    cross_entropy,
    dropout,
    elementary,
    fused,
    losses,
    naive,
    register_tile,
    rules,
    shuffling,
    slopes,
    updates,
)
from mlp_kernels.cpu.lanes import Lanes
from mlp_kernels.cpu.tile import Tile
from mlp_scratch.layers import ELU, GELU, SELU, BatchNorm, Context, LeakyReLU, PReLU, ReLU, Sigmoid, Softplus, Tanh
from mlp_scratch.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber
from mlp_scratch.optimizers import SGD, Adam
from mlp_scratch.random import dropout_words, permutation, philox4x32
from tests.testing.kernel_calls import PLAIN, calling, inlining, over_numbers
from tests.tolerances import assert_close, eps, function_bound

pytestmark = pytest.mark.filterwarnings("ignore:(over|under)flow encountered:RuntimeWarning")

DTYPES = ("float32", "float64") if PLAIN else ("float64",)
"""Compiled float32 is held to the specification by tests/backends; here each dtype takes seconds to compile."""

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
LAST_BIT = 404

ORDINARY = np.array([0.0, 0.25, -0.25, 1.0, -1.0, 1.5, 1.5625, -1.5, 2.0, 3.0, -3.0, 7.0, -7.0, 40.0, -40.0])
"""On and around every kink: 0, and 1.5, where a softplus of slope 2 becomes a line at a threshold of 3."""


def tile_of(dtype, lanes=4):
    return Tile(np.dtype(dtype), lanes=lanes, rows=2, vectors=2)


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
    bound = function_bound(given[:n] * slope, dtype, 256) + 64 * eps(dtype) * np.abs(given[:n])  # 1 - t² cancels
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


LOSSES = {"mse": MSE(), "mae": MAE(), "huber": Huber(0.5), "binary_cross_entropy": BinaryCrossEntropy()}


def panel(dtype, outputs, seed=0):
    """Logits and targets, (K, width), and shares, (width,); a lane is beyond the last sample."""
    rng, width = np.random.default_rng(seed), tile_of(dtype).columns
    z = rng.integers(-24, 24, (outputs, width)) / 8
    t = rng.integers(0, 2, (outputs, width)).astype(float)
    z[:, 0], t[:, 0] = t[:, 0], t[:, 0]  # an error of 0
    z[:, 1], t[:, 1] = t[:, 1] + 0.5, t[:, 1]  # the corner of Huber's loss
    z[:, 2], t[:, 2] = 0.0, 0.5  # labels that are no
    shares = np.append(rng.uniform(0.05, 0.2, width - 1), 0.0)
    return z.astype(dtype), t.astype(dtype), shares.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_loss(name, outputs, dtype):
    loss, (z, t, shares) = LOSSES[name], panel(dtype, outputs)
    run = calling_loss(losses.mean_of(*losses.FUNCTIONS[name]))
    dz, values, accuracies = np.empty_like(z), np.empty_like(shares), np.empty_like(shares)
    run(tile_of(dtype), z, t, dz, outputs, shares, values, accuracies, *(loss.constants() or (0.0,)))
    Z, T = z.T.astype(np.float64), t.T.astype(np.float64)
    check_panel(loss, Z, T, shares, values, accuracies, dz, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [2, 3, 5])
def test_the_cross_entropy_is_the_loss(outputs, dtype):
    run, width = calling_loss(cross_entropy.cross_entropy), tile_of(dtype).columns
    rng = np.random.default_rng(outputs)
    z, shares = rng.integers(-24, 24, (outputs, width)) / 8, np.append(rng.uniform(0.05, 0.2, width - 1), 0.0)
    t = rng.dirichlet(np.ones(outputs), width).T
    z[:, 0] = 1.0  # all alike: the first is the prediction
    z[:, 1], t[:, 1] = [1.0, *[3.0] * (outputs - 1)], [0.0, *[1 / (outputs - 1)] * (outputs - 1)]
    z[:, 2], t[:, 2] = 200.0 * np.arange(outputs), np.eye(outputs)[0]
    z[:, 3], t[:, 3] = -200.0 * np.arange(outputs), np.eye(outputs)[-1]
    z, t, shares = (np.ascontiguousarray(array, dtype) for array in (z, t, shares))
    dz, values, accuracies = np.empty_like(z), np.empty_like(shares), np.empty_like(shares)
    run(tile_of(dtype), z, t, dz, outputs, shares, values, accuracies, 0.0)
    check_panel(CrossEntropy(), z.T.astype(np.float64), t.T.astype(np.float64), shares, values, accuracies, dz, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize("outputs", [2, 3, 5])
def test_the_cross_entropy_of_labels_is_the_loss(outputs, smoothing, dtype):
    run, width = calling_loss(cross_entropy.cross_entropy_of_labels), tile_of(dtype).columns
    rng = np.random.default_rng(outputs)
    z, shares = rng.integers(-24, 24, (outputs, width)) / 8, np.append(rng.uniform(0.05, 0.2, width - 1), 0.0)
    labels = rng.integers(0, outputs, width)
    z[:, 0], labels[0] = 1.0, 0  # all alike: the first is the prediction
    z[:, 1], labels[1] = [1.0, *[3.0] * (outputs - 1)], outputs - 1
    z[:, 2], labels[2] = 200.0 * np.arange(outputs), 0
    z[:, 3], labels[3] = -200.0 * np.arange(outputs), outputs - 1
    z, t, shares = (np.ascontiguousarray(array, dtype) for array in (z, labels, shares))
    dz, values, accuracies = np.empty_like(z), np.empty_like(shares), np.empty_like(shares)
    run(tile_of(dtype), z, t, dz, outputs, shares, values, accuracies, smoothing)
    loss, Z = CrossEntropy(label_smoothing=smoothing), z.T.astype(np.float64)
    check_panel(loss, Z, labels, shares, values, accuracies, dz, dtype)


def test_the_cross_entropy_takes_rows_that_do_not_add_up_to_one():
    """dℓ/dz = softmax(z) Σ p - p: by the definition, not by a loss of the engine, which normalises its targets."""
    z = np.array([[0.5], [-1.0], [0.25]]) * np.ones((1, 8))
    t = np.array([[0.5], [1.0], [0.75]]) * np.ones((1, 8))
    dz, values, accuracies = np.empty_like(z), np.empty(8), np.empty(8)
    calling_loss(cross_entropy.cross_entropy)(
        tile_of("float64"), z, t, dz, 3, np.full(8, 0.125), values, accuracies, 0.0
    )
    p = np.exp(z) / np.exp(z).sum(axis=0)
    assert_close(values, -(t * np.log(p)).sum(axis=0), 1e-14)
    assert_close(dz, 0.125 * (p * t.sum(axis=0) - t), 1e-15)


def calling_loss(function):
    """Of (tile, z, t, dz, outputs, shares, values, accuracies, constant): pointers on both sides of a number."""
    run = calling(reordered(function), 6, 2, tile=True)
    return lambda tile, z, t, dz, outputs, shares, values, accuracies, constant: run(
        tile, z, t, dz, shares, values, accuracies, outputs, constant
    )


@cache
def reordered(function):
    function = inlining(function)

    def call(tile, z, t, dz, shares, values, accuracies, outputs, constant):
        function(tile, z, t, dz, outputs, shares, values, accuracies, constant)

    return call


def check_panel(loss, Z, T, shares, values, accuracies, dz, dtype):
    with np.errstate(all="ignore"):
        exact = loss.sample_values(Z, T)
        gradient = shares[:, None].astype(np.float64) * loss.sample_gradients(Z, T)
        right = loss.accuracies(Z, T)
    size = np.abs(Z).max(axis=1) + 1
    assert_close(values, exact, 64 * eps(dtype) * size, "values")
    assert_close(dz.T, gradient, 64 * eps(dtype) * shares[:, None] * size[:, None], "gradient")
    assert np.array_equal(np.isnan(accuracies), np.isnan(right) if right is not None else np.full(len(Z), True))
    if right is not None and not np.isnan(right).any():
        assert_close(accuracies, right, 4 * eps(dtype), "accuracies")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_passes_what_is_not_a_number(name):
    value, slope, _ = (calling(f, 0, 3) for f in losses.FUNCTIONS[name])
    nan, one = np.float64("nan"), np.float64(1.0)
    assert np.isnan(value(nan, one, one))
    assert np.isnan(slope(nan, one, one))


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


def test_the_words_are_the_generators():
    for seed in (0, 2**64 - 1, 0x9E3779B97F4A7C15):
        for counter in ((0, 0, 0, 0), (2**32 - 1, 1, 2**31, 7), (3, 2, 1, 0)):
            words = calling(dropout.philox, 0, 5)(*map(np.uint64, counter), np.uint64(seed))
            assert [int(word) for word in words] == [int(word) for word in philox4x32(counter, seed)]


@pytest.mark.parametrize(("first_feature", "features"), [(0, 1), (0, 4), (4, 7)])
@pytest.mark.parametrize(("layer", "step"), [(3, 1), (0, 2**32 + 5), (2, (7 << 32) + 2**31)])
@pytest.mark.skipif(PLAIN, reason="written in vectors, which only the compiler has")
def test_a_mask_is_dropouts(first_feature, features, layer, step):
    tile, first_row, p, seed = tile_of("float64", lanes=2), 24, 0.3, 11
    width = tile.columns
    mask = np.full(-(-features // 4) * 4 * width + 1, 9.0)
    arguments = (first_row, first_feature, features, p, np.uint64(seed), layer, step)
    calling(dropout.draw_mask, 1, 7, tile=True)(tile, mask, *arguments)
    words = dropout_words(seed, step, layer, (first_row + width, first_feature + features))
    kept = (words >= round(p * 2**32))[first_row:, first_feature:].T
    assert np.array_equal(mask[: features * width].reshape(features, width), kept / (1 - p))
    assert mask[-1] == 9.0


@pytest.mark.skipif(PLAIN, reason="written in vectors, which only the compiler has")
def test_a_word_equal_to_the_threshold_keeps_its_element():
    words, tile = philox4x32((0, 0, 0, 1), 0), tile_of("float64", lanes=2)
    for position, word in enumerate(words):
        mask = np.zeros((4, tile.columns))
        calling(dropout.draw_mask, 1, 7, tile=True)(tile, mask, 0, 0, 4, int(word) / 2**32, np.uint64(0), 0, 1)
        assert mask[position, 0] > 0


def test_a_product_with_a_mask():
    x, mask, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, 4.0]), np.full(3, 9.0)
    calling(dropout.multiply, 3, 1)(x, mask, y, 2)
    assert y.tolist() == [2.0, 0.0, 9.0]


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
    y = np.full_like(x, 9.0)
    arguments = (step, n, width, of(mean), of(inverse), of(1.5), of(-0.5))
    calling(batch_norm.forward, 2, 7)(x, y, *arguments)
    assert_close(y[inside], exact[:, 0], 256 * eps(dtype))
    untouched = np.setdiff1d(np.arange(len(y)), [b * step + j for b in range(panels) for j in range(width)])
    assert (y[untouched] == 9.0).all()
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


OPTIMIZERS = {
    "sgd": SGD(0.1),
    "sgd, decay": SGD(0.1, weight_decay=0.5),
    "sgd, decoupled decay": SGD(0.1, weight_decay=0.5, decoupled=True),
    "momentum": SGD(0.1, momentum=0.75),
    "momentum, decay": SGD(0.1, momentum=0.75, weight_decay=0.5),
    "nesterov": SGD(0.1, momentum=0.75, nesterov=True),
    "adam": Adam(0.1, beta1=0.75, beta2=0.875, eps=0.25),
    "adam, keras": Adam(0.1, beta1=0.75, beta2=0.875, eps=0.25, eps_mode="keras"),
    "adam, no eps": Adam(0.1, eps=0.0),
    "adam, decay": Adam(0.1, weight_decay=0.5),
    "adam, decoupled decay": Adam(0.1, weight_decay=0.5, decoupled=True),
}


def rule_of(optimizer):
    if isinstance(optimizer, Adam):
        return rules.Rule("adam", optimizer.weight_decay > 0)
    name = "nesterov" if optimizer.nesterov else "momentum" if optimizer.momentum else "sgd"
    return rules.Rule(name, optimizer.weight_decay > 0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rule_is_the_optimizer(name):
    optimizer = OPTIMIZERS[name]
    own = optimizer.constants() if isinstance(optimizer, Adam) else (optimizer.constants()[0], 0.0)
    logarithms = np.log([optimizer.beta1, optimizer.beta2]) if isinstance(optimizer, Adam) else (0.0, 0.0)
    constants = np.array([optimizer.weight_decay, optimizer.decoupled, *(*own, 0.0, 0.0)[:4], *logarithms])
    rule, rng = rule_of(optimizer), np.random.default_rng(0)
    assert rule.slots == len(optimizer.slots)
    p, q = (rng.normal(size=5),) * 2
    slots, rows = np.zeros((rule.slots, 5)), [np.zeros(5) for _ in range(rule.slots)]
    for step in range(1, 6):
        g, lr = rng.normal(size=5), 0.1 / step
        hyper = np.zeros(9)
        calling(hyper_parameters(), 2, 2)(constants, hyper, lr, step)
        p, slots = optimizer.update(p, g, slots, step=step, lr=lr)
        q, rows = rule.apply(rules.Hyper(*hyper), q, g, rows)
        assert_close(q, p, 64 * eps("float64"), f"step {step}")
        assert_close(np.array(rows).reshape(slots.shape), slots, 64 * eps("float64"))


@cache
def hyper_parameters():
    function = inlining(updates.set_hyper_parameters)

    def call(constants, hyper, lr, step):
        function(constants, lr, step, hyper)

    return call


def test_a_gradient_that_is_stored():
    p, g = np.ones(2), np.array([3.0, 4.0])
    rule = rules.Rule("gradient")
    assert rule.slots == 1
    assert rule.decays is False
    assert rule.fast is False
    q, (stored,) = rule.apply(rules.Hyper(*[0.5] * 9), p, g, [np.zeros(2)])
    assert q is p
    assert stored is g


class Noted(Lanes):
    """Lanes that are a number, and note which of the two quotients made them."""

    def __init__(self, value, by=""):
        self.value, self.by = value, by

    def __add__(self, other):
        return Noted(self.value + other.value)

    def __sub__(self, other):
        return Noted(self.value - other.value, other.by)

    def __mul__(self, other):
        return Noted(self.value * other.value)

    def __truediv__(self, other):
        return Noted(self.value / other.value, "/")

    def sqrt(self):
        return Noted(self.value**0.5)

    def divided_by(self, other):
        return Noted(self.value / other.value, "estimate")


@pytest.mark.parametrize("fast", [False, True])
def test_a_rule_of_lanes_is_that_of_arrays(fast):
    numbers, p, g, m, v = [0.5, 0.0, 1.0, 0.75, 0.25, 0.5, 0.5, 0.125, 0.25], 2.0, 0.5, 0.25, 1.0
    rule = rules.Rule("adam", fast=fast)
    expected, slots = rule.apply(rules.Hyper(*numbers), np.float64(p), np.float64(g), [np.float64(m), np.float64(v)])
    q, rows = rule.apply(rules.Hyper(*map(Noted, numbers)), Noted(p), Noted(g), [Noted(m), Noted(v)])
    assert q.value == expected
    assert [row.value for row in rows] == slots
    assert q.by == ("estimate" if fast else "/")


def test_without_decay_a_parameter_does_not_shrink():
    h = rules.Hyper(1.0, 0.5, 0.5, *[0.0] * 6)
    assert rules.Rule("sgd").apply(h, 2.0, 0.25, []) == (1.75, [])
    assert rules.Rule("sgd", decays=True).apply(h, 2.0, 0.25, []) == (-0.25, [])


def test_where_hyper_parameters_lie():
    hyper = rules.Hyper(*range(9))
    assert hyper.lr == rules.LR
    assert hyper.l2 == rules.L2
    assert hyper.shrink == rules.SHRINK
    assert hyper.beta1 == rules.BETA1
    assert hyper.one_minus_beta1 == rules.ONE_MINUS_BETA1
    assert hyper.beta2 == rules.BETA2
    assert hyper.one_minus_beta2 == rules.ONE_MINUS_BETA2
    assert hyper.step_size == rules.STEP_SIZE
    assert hyper.eps == rules.EPS


@pytest.mark.parametrize("n", [1, 2, 4, 5, 40])
def test_an_order_is_the_generators(n):
    for seed, epoch in ((0, 0), (2**64 - 1, 3)):
        order = calling(shuffling.permutation, 0, 3)(np.uint64(seed), epoch, n)
        assert order.dtype == np.int64
        assert np.array_equal(order, permutation(seed, epoch, n))


def test_words_that_differ_in_their_last_bit_are_in_order():
    """Of 2,000 samples under this seed two have words that differ in nothing else, the smaller one behind."""
    order = calling(shuffling.permutation, 0, 3)(np.uint64(LAST_BIT), 0, 2000)
    assert np.array_equal(order, permutation(LAST_BIT, 0, 2000))


@pytest.mark.parametrize("shift", [0, 11, 22])
def test_a_pass_of_the_sort_is_stable(shift):
    rng = np.random.default_rng(shift)
    keys = rng.integers(0, 2**32, 60).astype(np.uint64)
    keys[::3] = keys[0]
    keys[1], keys[2] = 0, 2**32 - 1
    order, result = rng.permutation(60), np.full(60, -1)
    digits = (keys[order].astype(np.int64) >> shift) & 2047
    shuffling._sort_by_digit(keys, np.uint64(shift), order, result)
    assert np.array_equal(result, order[np.argsort(digits, kind="stable")])


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_are_numpys(dtype, rng):
    A, B = (rng.integers(-8, 8, shape).astype(dtype) for shape in ((3, 4), (4, 2)))
    C = np.full((3, 2), 9.0, dtype)
    naive.multiply(A, B, C)
    assert np.array_equal(C, A @ B)
    naive.multiply(A[:, :0].copy(), B[:0], C)
    assert (C == 0).all()
    tiny = np.array([[1.0], [2.0**-24], [2.0**-24]])  # two halves of the last digit of a float32, one after the other
    naive.multiply(np.ones((1, 3), dtype), tiny.astype(dtype), C[:1, :1])
    assert C[0, 0] == (1.0 if dtype == "float32" else 1 + 2.0**-23)
    C[...] = A @ B
    for product in (register_tile.reference(A, B), register_tile.reference(A, B, C)):
        assert product.dtype == dtype
    assert register_tile.reference(np.ones((1, 3), dtype), tiny.astype(dtype)) == C.dtype.type(
        1.0 if dtype == "float32" else 1 + 2.0**-23
    )
    C[...] = 0
    assert np.array_equal(register_tile.reference(A, B), A @ B)
    assert np.array_equal(register_tile.reference(A, B, C + 2), A @ B + 2)
    bias = np.array([1.0, -50.0], dtype)
    assert np.array_equal(fused.reference(A, B), A @ B)
    assert np.array_equal(fused.reference(A, B, bias), A @ B + bias)
    relu = fused.reference(A, B, bias, "relu")
    assert np.array_equal(relu, np.maximum(A @ B + bias, 0))
    assert relu.dtype == dtype
    assert fused.reference(np.array([[0.5]]), np.eye(1), None, "relu") == 0.5
    assert np.isnan(fused.reference(np.array([[np.nan]]), np.eye(1), None, "relu")).all()


EXACT = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
}


def where_it_holds(name, dtype):
    """Numbers in a function's range, dense enough to meet each of its cases."""
    if name == "log":
        return np.exp(np.linspace(-20, 20, 161))
    if name == "log1p":
        return np.concatenate([np.linspace(0, 1, 41), 2.0 ** -np.arange(1, 40)])
    far = np.log(np.finfo(dtype).max) - 1
    return np.concatenate([np.linspace(-3, 3, 97), np.linspace(-far, far, 41), [1e-5, -1e-5, 2.0**-26, 0.0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_an_elementary_function_errs_by_a_few_roundings(name, dtype):
    x = where_it_holds(name, dtype).astype(dtype)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
        got = over_numbers(getattr(elementary, name))(x)
    assert_close(got, exact.astype(dtype), 3 * eps(dtype) * np.abs(exact) + np.finfo(dtype).tiny, name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_adding_one_lost_is_put_back(dtype):
    """Below log 2 a unit in the last place is eps / 2: the logarithm errs by one, rounding the sum by half of one."""
    x = np.linspace(0.5, 1, 401).astype(dtype)
    assert_close(over_numbers(elementary.log1p)(x), np.log1p(x.astype(np.longdouble)), 0.75 * eps(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "softplus"])
def test_an_elementary_function_holds_for_every_number(name, dtype):
    ends = {"exp": (0.0, np.inf), "tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "softplus": (0.0, np.inf)}[name]
    denormal = (-99.5, -100.0, -103.0) if dtype == "float32" else (-744.0, -730.0, -720.0)
    x = np.array([-np.inf, np.inf, -1e5, 1e5, *denormal, np.nan], dtype)
    with np.errstate(all="ignore"):
        got = over_numbers(getattr(elementary, name))(x)
        exact = EXACT[name](np.array(denormal, np.longdouble))
    assert got[:4].tolist() == [*ends, ends[0], x[3] if name == "softplus" else ends[1]]
    assert np.isnan(got[-1])
    assert_close(got[4:-1], exact, np.finfo(dtype).smallest_subnormal + eps(dtype) * np.abs(exact))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_normal_distribution_errs_by_what_it_promises(dtype):
    """Of the smaller tail, by 32 + x² units in its last place; of the larger by the rounding of a subtraction."""
    x = np.concatenate([np.linspace(-12, 9, 211), [-1e-6, 0.0, 1e-6]]).astype(dtype)
    exact = ndtr(x.astype(np.float64))
    tail = np.minimum(exact, ndtr(-x.astype(np.float64)))
    got = over_numbers(elementary.normal_cdf)(x)
    assert_close(got, exact, (36 + x.astype(np.float64) ** 2) * eps(dtype) * tail + eps(dtype) * exact)
    with np.errstate(all="ignore"):
        special = over_numbers(elementary.normal_cdf)(np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], dtype))
    assert np.array_equal(special, [np.nan, 1, 0, 1, 0], equal_nan=True)


def test_nothing_follows_a_product_unless_said():
    assert signature(fused.reference).parameters["activation"].default == "identity"


def test_constants_of_the_formulas():
    assert sqrt(2 / np.pi) == activations.ROOT_2_OVER_PI


@pytest.mark.skipif(PLAIN, reason="this is that process")
def test_the_same_holds_without_the_compiler():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
