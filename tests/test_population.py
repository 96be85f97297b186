"""A population is its networks, each trained alone: same bits, same records."""

from itertools import product

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError
from mlp_scratch.random import permutation


def alone(model, X, y, seed, lr=None, init=None, **options):
    layers = [ms.Dense(3, 7, weight_init=init), ms.ReLU(), ms.Dropout(0.2), ms.Dense(7, 1, weight_init=init)]
    network = ms.Sequential(layers, seed=seed)
    network.fit(X, y, optimizer=ms.Adam(lr or 1e-3), backend="numba", progress=False, **options)
    return network


@pytest.fixture
def data(rng):
    return rng.normal(size=(50, 3)), rng.normal(size=50)


@pytest.fixture
def model():
    return ms.Sequential([ms.Dense(3, 7), ms.ReLU(), ms.Dropout(0.2), ms.Dense(7, 1)], seed=99)


@pytest.mark.parametrize("threads", [1, 3])
def test_each_network_has_the_bits_of_training_it_alone(threads, model, data):
    seeds, rates, rules = (0, 5), (0.1, 0.01), ("he_uniform", "glorot_normal")
    options = {"batch_size": 16, "epochs": 3, "loss": "mae"}
    nets = ms.Population(model, seeds=seeds, lr=rates, init=rules)
    assert nets.fit(*data, optimizer=ms.Adam(), threads=threads, backend="numba", **options) is nets
    assert len(nets) == 8
    for network, rate, losses, (rule, lr, seed) in zip(
        nets.models, nets.lr, nets.losses, product(rules, rates, seeds), strict=True
    ):
        assert rate == lr
        expected = alone(model, *data, seed, lr, rule, **options)
        assert np.array_equal(network.flat, expected.flat)
        assert np.array_equal(network.history.losses, expected.history.losses)
        assert np.array_equal(losses, expected.history.column("loss"))
        assert np.array_equal(network.training.slots, expected.training.slots)


def test_a_network_of_a_population_can_be_trained_on(model, data):
    nets = ms.Population(model, seeds=[4]).fit(*data, optimizer=ms.Adam(), batch_size=16, epochs=2, backend="numba")
    nets.models[0].fit(*data, batch_size=16, epochs=1, backend="numba", progress=False)
    assert np.array_equal(nets.models[0].flat, alone(model, *data, 4, batch_size=16, epochs=3).flat)


def test_architectures_may_differ(data):
    nets = ms.Population([ms.MLP([3, width, 1]) for width in (2, 40)], seeds=range(2)).fit(*data, epochs=1)
    assert [network.parameters["0.bias"].size for network in nets.models] == [2, 2, 40, 40]
    assert np.isfinite(nets.losses).all()


def test_one_that_diverges_does_not_stop_the_others(model, data):
    nets = ms.Population(model, seeds=[1], lr=[1e38, 0.01]).fit(*data, optimizer="sgd", loss="mse", epochs=4)
    failed, fine = nets.errors
    assert failed is not None
    assert fine is None
    assert np.isfinite(nets.models[0].flat).all()
    assert np.isnan(nets.losses[0, -1])
    assert np.isfinite(nets.losses[1]).all()


@pytest.mark.parametrize(
    "arguments", [{"seeds": []}, {"seeds": [-1]}, {"seeds": [0], "lr": [0.0]}, {"seeds": [0], "init": "hee"}]
)
def test_bad_arguments(arguments, model):
    with pytest.raises(ArgumentError):
        ms.Population(model, **arguments)


def test_a_backend_that_trains_one_network_at_a_time_is_refused(model, data):
    with pytest.raises(ArgumentError, match="backend: got 'numpy', expected 'auto', 'numba' or 'cuda'"):
        ms.Population(model, seeds=[0]).fit(*data, backend="numpy")


@pytest.mark.parametrize("n", [1, 2, 3, 5, 4096, 100_001])
@pytest.mark.parametrize("seed", [0, 2**64 - 1, 2**70 + 3])
def test_the_compiled_order_is_the_order(seed, n):
    from mlp_scratch.backends.numba import permutation as compiled

    for epoch in (0, 1, 2**32 - 1):
        assert np.array_equal(compiled(seed, epoch, n), permutation(seed, epoch, n))
