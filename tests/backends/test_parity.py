"""The compiled backend gives the numbers of the NumPy backend: every layer, loss and optimiser, any shape and layout.

The tests that loop over a table find a new row by themselves; the property draws whole networks.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlp_scratch as ms
from mlp_scratch.layers import ACTIVATIONS, Layer
from mlp_scratch.losses import BinaryCrossEntropy, CrossEntropy, Huber, Loss
from mlp_scratch.testing import Problem, check_backend
from mlp_scratch.testing.strategies import cuts
from tests.tolerances import assert_close, assert_parity, eps


def swish(x):
    return x / (1 + math.exp(min(-x, 700.0)))  # beyond, Python's exponential raises an error


def swish_slope(x):
    s = 1 / (1 + math.exp(min(-x, 700.0)))
    return s + x * s * (1 - s)


def log_cosh(z, t):
    r = abs(z - t)
    return r + np.log1p(np.exp(-2 * r)) - math.log(2)


LAYERS: dict[str, Layer] = {
    **ACTIVATIONS,
    "given functions": ms.ScalarActivation("swish", swish, swish_slope),
    "given functions with a kink": ms.ScalarActivation(
        "hinge", lambda x: max(x, 0.1 * x), lambda x: 1.0 if x > 0 else 0.1, kinks=(0.0,)
    ),
    "prelu per feature": ms.PReLU(per_feature=True),
    "softplus, steep": ms.Softplus(3.0, threshold=2.0),
    "dropout": ms.Dropout(0.3),
    "no dropout": ms.Dropout(0.0),
    "batch norm": ms.BatchNorm(eps=1e-3, momentum=0.3),
}

Targets = Callable[[np.random.Generator, int, int], np.ndarray]
REALS: Targets = lambda rng, n, k: rng.normal(size=(n, k))  # noqa: E731
LABELS: Targets = lambda rng, n, k: rng.integers(0, 2, (n, k))  # noqa: E731
CLASSES: Targets = lambda rng, n, k: rng.integers(0, k, n)  # noqa: E731
ROWS: Targets = lambda rng, n, k: rng.dirichlet(np.ones(k), n)  # noqa: E731

LOSSES: dict[str, tuple[Loss, Targets]] = {
    "mse": (ms.MSE(), REALS),
    "mae": (ms.MAE(), REALS),
    "huber": (Huber(0.7), REALS),
    "binary cross-entropy": (BinaryCrossEntropy(), LABELS),
    "cross-entropy": (CrossEntropy(), CLASSES),
    "cross-entropy of rows": (CrossEntropy(), ROWS),
    "cross-entropy, smoothed": (CrossEntropy(0.1), CLASSES),
    "cross-entropy of rows, smoothed": (CrossEntropy(0.1), ROWS),
    "given functions": (
        ms.ScalarLoss("log_cosh", log_cosh, lambda z, t: np.tanh(z - t)),
        REALS,
    ),
}

# Where a gradient is nothing but rounding, as that of a bias before batch normalisation is, Adam's m / √v is noise
# of size 1. An eps well above the rounding makes Adam a smooth function of the gradient again.
OPTIMIZERS = {
    "sgd": ms.SGD(0.05),
    "sgd, decay": ms.SGD(0.05, weight_decay=0.01),
    "sgd, decay of weights": ms.SGD(0.05, weight_decay=0.1, decay="weights"),
    "momentum": ms.SGD(0.02, momentum=0.9),
    "nesterov, decoupled decay": ms.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=0.1, decoupled=True),
    "adam": ms.Adam(0.01, eps=1e-3),
    "adam, keras": ms.Adam(0.01, eps=1e-3, eps_mode="keras"),
    "adam without a memory of the gradient": ms.Adam(0.01, beta1=0.0, eps=1e-3),
    "adam without a memory of its square": ms.Adam(0.01, beta2=0.0, eps=0.1),
    "adam, decay": ms.Adam(0.01, eps=1e-3, weight_decay=0.1),
    "adam, decoupled decay of weights": ms.Adam(0.01, eps=1e-3, weight_decay=0.1, decoupled=True, decay="weights"),
}

WIDTHS = (1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65)
"""Around every edge: tile rows, vector lanes, panels, row blocks."""


def build(layers: list[Layer], dtype: str = "float64", seed: int = 0) -> ms.Sequential:
    model = ms.Sequential(layers, dtype=dtype, seed=seed)
    rng = np.random.default_rng(seed)
    for name in model.parameters:  # also biases, slopes and running statistics away from their round initial values
        if "weight" not in name or model.parameters[name].ndim == 1:
            model.parameters[name] += rng.uniform(0.05, 0.2, model.parameters[name].shape)
    model.buffer_vector += rng.uniform(0.1, 0.5, model.buffer_vector.shape)
    return model


def flat(gradients) -> np.ndarray:
    return np.concatenate([g.ravel() for g in gradients.values()])


def a_rounding_away(X, dtype):
    """Data whose numbers are one rounding off, up or down: what that changes, cancellation between samples magnifies.

    Of a single parameter all that is left of the samples' gradients may be smaller than the rounding of one of them.
    """
    rng = np.random.default_rng(0)
    return [X * (1 + eps(dtype) * rng.choice([-1.0, 1.0], np.shape(X))) for _ in range(8)]


def assert_close_or_cancelled(actual, expected, tolerance, near, terms, what):
    """Equal relative to the largest element, or, where sums have cancelled, to what a rounding changes in one: `near`.

    All logits but those of one sample may be cut off by a ReLU, and that one's sum may have left next to nothing.
    """
    allowed = tolerance * np.abs(expected).max()
    if np.abs(actual - expected).max() > allowed:
        allowed += 4 * terms * max(np.abs(each - expected).max() for each in near)
    assert_close(actual, expected, allowed, what)


def check_gradients(layers: list[Layer], X, y, loss: Loss, weights=None, seed: int = 0, backend: str = "numba") -> None:
    """Loss, gradient and logits, in float64 to 1e-12 and in float32 to the rounding of sums in another order."""
    for dtype in ("float64", "float32"):
        model = build(layers, dtype, seed)
        # Each layer's sums have at most so many terms, and the errors of the layers add up.
        terms = len(X) + sum(p.n_in + p.n_out for p in model.placed)
        tolerance = 1e-12 if dtype == "float64" else 4 * terms * eps(dtype)
        for training in (True, False):
            both = [
                model.loss_and_gradients(X, y, loss=loss, sample_weight=weights, backend=b, training=training)
                for b in (backend, "numpy")
            ]
            (value, gradient), (expected, specified) = both
            assert_parity(value, expected, "loss", tolerance)
            options = {"loss": loss, "sample_weight": weights, "backend": "numpy", "training": training}
            near = (flat(model.loss_and_gradients(x, y, **options)[1]) for x in a_rounding_away(X, dtype))
            assert_close_or_cancelled(flat(gradient), flat(specified), tolerance, near, terms, "gradient")
        logits, specified = (model.logits(X, backend=b) for b in (backend, "numpy"))
        near = (model.logits(x, backend="numpy") for x in a_rounding_away(X, dtype))
        assert_close_or_cancelled(logits, specified, tolerance, near, terms, "logits")


def fitted(model: ms.Sequential, X, y, backend: str, **options) -> ms.Sequential:
    model.fit(X, y, backend=backend, progress=False, **options)
    return model


def check_training(
    make: Callable[[], ms.Sequential], X, y, tolerance: float = 1e-9, backend: str = "numba", **options
) -> None:
    fast, slow = (fitted(make(), X, y, name, **options) for name in (backend, "numpy"))
    assert_parity(fast.history.losses, slow.history.losses, "losses", tolerance)
    if not np.isnan(slow.history.accuracies).all():
        assert_close(fast.history.accuracies, slow.history.accuracies, 1e-12, "accuracies")
    assert_parity(fast.flat, slow.flat, "parameters", tolerance)
    assert_parity(fast.buffer_vector, slow.buffer_vector, "buffers", tolerance)
    assert_parity(fast.training.slots, slow.training.slots, "slots", tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name, rng):
    layers = [ms.Dense(5, 19), LAYERS[name], ms.Dense(19, 3)]
    X, y = rng.normal(size=(45, 5)), rng.normal(size=(45, 3))
    check_gradients(layers, X, y, ms.MSE())
    check_training(partial(build, layers), X, y, loss="mse", optimizer=ms.SGD(0.05), batch_size=20, epochs=3)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_on_the_input_and_on_the_output(name, rng):
    X, y = rng.normal(size=(34, 5)), rng.normal(size=(34, 9))
    check_gradients([LAYERS[name], ms.Dense(5, 9), LAYERS[name]], X, y, ms.MSE())


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("outputs", [2, 3, 33])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name, outputs, weighted, rng):
    loss, targets = LOSSES[name]
    layers = [ms.Dense(4, 11), ms.Tanh(), ms.Dense(11, outputs)]
    X, y = rng.normal(size=(50, 4)), targets(rng, 50, outputs)
    weights = rng.uniform(size=50) * (rng.uniform(size=50) > 0.2) if weighted else None
    check_gradients(layers, X, y, loss, weights)
    options = {"loss": loss, "sample_weight": weights, "optimizer": ms.SGD(0.1), "batch_size": 16, "epochs": 2}
    check_training(partial(build, layers), X, y, **options)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_whose_sum_overflows_are_not_lost(dtype, rng):
    """They count for what they are beside each other; so do weights that are hardly more than 0."""
    X, y, w = rng.normal(size=(9, 4)), rng.normal(size=(9, 2)), rng.integers(0, 5, 9) / 4
    model, limit = build([ms.Dense(4, 2)], dtype), np.finfo(dtype)
    expected = flat(model.loss_and_gradients(X, y, loss="mse", sample_weight=w, backend="numpy")[1])
    for size in (limit.max, 4 * limit.smallest_subnormal):
        huge = w * float(size) if size < 1 else w / w.max() * size
        gradient = flat(model.loss_and_gradients(X, y, loss="mse", sample_weight=huge, backend="numba")[1])
        assert_parity(gradient, expected, tolerance=64 * eps(dtype))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_for_a_hundred_steps(name, rng):
    layers = [ms.Dense(6, 40), ms.PReLU(), ms.BatchNorm(), ms.Dense(40, 5, bias=False), ms.GELU(), ms.Dense(5, 2)]
    X, y = rng.normal(size=(70, 6)), rng.integers(0, 2, 70)
    options = {"loss": "cross_entropy", "optimizer": OPTIMIZERS[name], "batch_size": 16, "epochs": 20}
    check_training(partial(build, layers), X, y, **options)


def test_extreme_logits_lose_nothing():
    X, y = np.array([[1e4, -1e4], [-1e4, 1e4], [300.0, 0.0]]), np.array([1, 1, 0])
    check_gradients([ms.Dense(2, 2)], X, y, CrossEntropy())
    check_gradients([ms.Dense(2, 2)], X, np.eye(2)[y], BinaryCrossEntropy())


@st.composite
def networks(draw):
    """Layers, samples, targets, weights, batch size: nothing is a multiple of anything."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    widths = draw(st.lists(st.one_of(st.sampled_from(WIDTHS), st.integers(1, 70)), min_size=2, max_size=6))
    between = st.lists(st.sampled_from(sorted(LAYERS)), max_size=3)
    loss, targets = LOSSES[draw(st.sampled_from(sorted(LOSSES)))]
    if isinstance(loss, CrossEntropy):
        widths[-1] = max(2, widths[-1])
    layers = [LAYERS[name] for name in draw(between)]
    for n_in, n_out in pairwise(widths):
        layers += [ms.Dense(n_in, n_out, bias=draw(st.booleans())), *(LAYERS[name] for name in draw(between))]
    if draw(st.booleans()):
        layers = [replace(layer, trainable=draw(st.booleans())) for layer in layers]
    normalised = any(isinstance(layer, ms.BatchNorm) and layer.trainable for layer in layers)
    n, batch = draw(cuts(100, min_batch=2 if normalised else 1))
    n += -(-max(0, 4 - n) // batch) * batch  # the gradient of fewer may cancel to less than its rounding
    X, y = rng.normal(size=(n, widths[0])), targets(rng, n, widths[-1])
    weights = rng.uniform(0.1, 2, n) if draw(st.booleans()) else None
    return layers, X, y, loss, weights, batch


@given(networks())
def test_any_network(network):
    layers, X, y, loss, weights, _ = network
    check_gradients(layers, X, y, loss, weights)


@settings(max_examples=3 * settings().max_examples)
@given(networks(), st.sampled_from(sorted(OPTIMIZERS)))
def test_any_network_in_training(network, optimizer):
    layers, X, y, loss, weights, batch = network
    problem = Problem(layers, loss, OPTIMIZERS[optimizer], X, y, weights, batch_size=batch)
    check_backend("numba", problem, only=["same_training"])


FROZEN = [
    *((0,), (1,), (2,), (4,), (5,), (6,), (7,)),
    *((0, 1), (0, 1, 2), (0, 1, 2, 4), (4, 5), (1, 2, 4, 5), (1, 5), range(8)),
]
"""Positions in `everything_that_learns`: each layer, both ends, the middle, all; whole stages and parts of them."""


def everything_that_learns(n_in, width, outputs, frozen) -> list[Layer]:
    layers = [ms.BatchNorm(), ms.Dense(n_in, width), ms.PReLU(), ms.Dropout(0.2), ms.Dense(width, width, bias=False)]
    layers += [ms.BatchNorm(), ms.Dense(width, outputs), ms.PReLU(per_feature=True)]
    return [replace(layer, trainable=i not in frozen) for i, layer in enumerate(layers)]


@pytest.mark.parametrize("optimizer", ["sgd, decay", "nesterov, decoupled decay", "adam, decoupled decay of weights"])
@pytest.mark.parametrize("frozen", FROZEN, ids=str)
def test_frozen_layers(frozen, optimizer, rng):
    X, y = rng.normal(size=(70, 6)), rng.integers(0, 2, 70)
    for width, outputs in ((40, 5), (3, 1)):
        layers = everything_that_learns(6, width, outputs, frozen)
        targets = y if outputs > 1 else y[:, np.newaxis].astype(float)
        loss = "cross_entropy" if outputs > 1 else "mse"
        options = {"loss": loss, "optimizer": OPTIMIZERS[optimizer], "batch_size": 16, "epochs": 3}
        check_training(partial(build, layers), X, targets, **options)
    check_gradients(everything_that_learns(6, 33, 5, frozen), X, y, CrossEntropy())


def test_no_dense_layer_at_all(rng):
    check_gradients([ms.BatchNorm(3), ms.Tanh()], rng.normal(size=(9, 3)), rng.normal(size=(9, 3)), ms.MSE())


def test_a_hundred_layers(rng):
    layers = [ms.Dense(3, 3) if i % 2 == 0 else ms.Tanh() for i in range(200)]
    check_gradients(layers, rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), ms.MSE())


@pytest.mark.parametrize("batch", [1, 31, 32, 33, 300])
def test_batches_across_panels(batch, rng):
    X, y = rng.normal(size=(300, 7)), rng.normal(size=300)
    layers = [ms.Dense(7, 9), ms.ReLU(), ms.Dense(9, 1)]
    check_training(partial(build, layers), X, y, loss="huber", batch_size=batch, epochs=1)


def test_sums_longer_than_a_block(rng):
    X, y = rng.normal(size=(40, 700)), rng.integers(0, 300, 40)
    check_gradients([ms.Dense(700, 290), ms.ReLU(), ms.Dense(290, 300)], X, y, CrossEntropy())
