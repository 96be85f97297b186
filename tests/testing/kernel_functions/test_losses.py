"""Losses of a panel, the cross-entropy among them, beside the losses that specify them."""

from functools import cache

import numpy as np
import pytest

from mlp_kernels.cpu import cross_entropy, losses
from mlp_scratch.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber
from tests.testing.kernel_calls import DTYPES, calling, inlining, tile_of
from tests.tolerances import assert_close, eps

pytestmark = pytest.mark.filterwarnings("ignore:(over|under)flow encountered:RuntimeWarning")


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


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_as_far_apart_as_numbers_go_are_no_loss_where_the_label_is_right(dtype):
    width, far = tile_of(dtype).columns, np.finfo(dtype).max
    z, shares = np.array([[far], [-far]]) * np.ones((1, width), dtype), np.full(width, 1 / width, dtype)
    dz, values, accuracies = np.empty_like(z), np.empty_like(shares), np.empty_like(shares)
    run = calling_loss(cross_entropy.cross_entropy_of_labels)
    with np.errstate(all="ignore"):
        run(tile_of(dtype), z, np.zeros(width, dtype), dz, 2, shares, values, accuracies, 0.0)
    assert not values.any()
    assert not dz.any()
    assert (accuracies == 1).all()


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


@pytest.mark.parametrize("function", [cross_entropy.cross_entropy, cross_entropy.cross_entropy_of_labels])
@pytest.mark.parametrize("samples", [1, 4, 5])
def test_a_short_batch_costs_no_vector_beyond_it(function, samples):
    width, lanes, rng = tile_of("float64").columns, 4, np.random.default_rng(samples)
    z, shares = rng.normal(size=(3, width)), np.where(np.arange(width) < samples, 0.2, 0.0)
    labels = np.arange(width) % 3
    t = np.ascontiguousarray(np.eye(3)[:, labels]) if function is cross_entropy.cross_entropy else labels.astype(float)
    run, results = calling_loss(function), []
    for given in (width, samples):
        dz, values, accuracies = np.full_like(z, 9.0), np.full(width, 9.0), np.full(width, 9.0)
        run(tile_of("float64"), z, t, dz, 3, shares, values, accuracies, 0.0, given)
        results.append((dz.T, values, accuracies))
    used = -(-samples // lanes) * lanes
    for whole, short in zip(*results, strict=True):
        assert np.array_equal(short[:samples], whole[:samples])
        assert (short[used:] == 9.0).all()
    assert not results[1][0][samples:used].any(), "a lane without a sample has no gradient"


@pytest.mark.parametrize("samples", [1, 5])
def test_labels_beyond_the_last_sample_are_not_read(samples):
    """There they name a row beyond the outputs', which would get a gradient."""
    width, rng = tile_of("float64").columns, np.random.default_rng(samples)
    labels = np.where(np.arange(width) < samples, 1.0, 3.0)
    dz, values, accuracies = np.full((4, width), 9.0), np.empty(width), np.empty(width)
    run, z, shares = calling_loss(cross_entropy.cross_entropy_of_labels), rng.normal(size=(4, width)), np.ones(width)
    run(tile_of("float64"), z, labels, dz, 3, shares, values, accuracies, 0.0, samples)
    assert (dz[3] == 9.0).all()


def calling_loss(function):
    """Of (tile, z, t, dz, outputs, shares, values, accuracies, constant), for a panel full of samples unless said."""
    run = calling(reordered(function), 6, 3, tile=True)

    def call(tile, z, t, dz, outputs, shares, values, accuracies, constant, samples=None):
        run(tile, z, t, dz, shares, values, accuracies, outputs, samples or tile.columns, constant)

    return call


@cache
def reordered(function):
    function = inlining(function)

    def call(tile, z, t, dz, shares, values, accuracies, outputs, samples, constant):  # pointers first
        function(tile, z, t, dz, outputs, samples, shares, values, accuracies, constant)

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
