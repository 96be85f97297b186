"""Fits in several calls, and populations: the bits of training each network alone."""

import signal

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import cuda_fleet, cuda_population, cuda_ways
from mlp_scratch.errors import BackendUnavailableError, DivergedError
from tests.backends.simulated_cuda.networks import trained

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and infinity are ordinary numbers on a GPU


def test_resuming_is_exact(rng):
    X, y = rng.normal(size=(10, 3)), rng.integers(0, 3, 10)
    whole, parts = trained(X, y, optimizer="adam", epochs=3), trained(X, y, optimizer="adam", epochs=1)
    parts.fit(X, y, backend="cuda", batch_size=4, epochs=2, progress=False)
    assert np.array_equal(parts.flat, whole.flat)
    assert np.array_equal(parts.training.slots, whole.training.slots)


def test_threads_of_the_cpu_change_nothing(rng):
    X, y = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    assert np.array_equal(trained(X, y, threads=1).flat, trained(X, y).flat)


@pytest.mark.parametrize("shuffled", ["on the GPU", "by the CPU", "never"])
def test_each_network_of_a_population_has_the_bits_of_training_it_alone(shuffled, rng):
    X, y = rng.normal(size=(7, 2)), rng.normal(size=7)
    layers = [ms.Dense(2, 3), ms.BatchNorm(), ms.PReLU(), ms.Dropout(0.2), ms.Dense(3, 1, trainable=False)]
    options = {"batch_size": 4, "epochs": 3, "loss": "mae", "backend": "cuda", "shuffle": shuffled != "never"}
    options["sample_weight"] = None if shuffled == "on the GPU" else rng.uniform(size=7)
    nets = ms.Population(
        ms.Sequential(layers), seeds=(0, 2**63 + 5), lr=(0.1, 0.01), init=("he_uniform", "glorot_normal")
    )
    nets.fit(X, y, optimizer="adamw", **options)
    for network, rate in zip(nets.models, nets.lr, strict=True):
        alone = ms.Sequential(network.layers, seed=network.seed)
        optimizer = ms.Adam(rate, weight_decay=1e-2, decoupled=True)
        alone.fit(X, y, optimizer=optimizer, progress=False, **options)
        assert np.array_equal(network.flat, alone.flat)
        assert np.array_equal(network.buffer_vector, alone.buffer_vector)
        assert np.array_equal(network.training.slots, alone.training.slots)
        assert np.array_equal(network.history.losses, alone.history.losses)
        assert np.array_equal(network.history.column("loss"), alone.history.column("loss"))
        assert (network.training.epoch, network.training.shuffle) == (3, alone.training.shuffle)


def test_networks_of_several_losses_have_the_bits_of_training_each_alone(rng):
    X, y = rng.normal(size=(4, 2)), rng.normal(size=4)
    losses, options = ("mae", "mse"), {"batch_size": 2, "epochs": 1, "backend": "cuda"}
    nets, alone = (ms.Population(ms.MLP([2, 3, 1]), seeds=[1, 2]) for _ in range(2))
    for network, loss in zip((*nets.models, *alone.models), losses * 2, strict=True):
        network.fit(X, y, loss=loss, optimizer="adam", progress=False, **options)
    nets.fit(X, y, **options)
    for network, other in zip(nets.models, alone.models, strict=True):
        other.fit(X, y, resume=False, progress=False, **options)
        assert np.array_equal(network.flat, other.flat)


def test_a_few_large_networks_train_one_after_the_other(monkeypatch, rng):
    X, y = rng.normal(size=(4, 2)), rng.normal(size=4)
    together = ms.Population(ms.MLP([2, 3, 1]), seeds=[1, 2]).fit(X, y, batch_size=2, epochs=2, backend="cuda")
    monkeypatch.setattr(cuda_population, "multiprocessors", lambda: 3)
    monkeypatch.setattr(cuda_ways, "ONE_BLOCK_LIMIT", 0)
    monkeypatch.setattr(cuda_population, "train_members", lambda *_, **__: pytest.fail("they train together"))
    in_turn = ms.Population(ms.MLP([2, 3, 1]), seeds=[1, 2]).fit(X, y, batch_size=2, epochs=2, backend="cuda")
    for one, other in zip(in_turn.models, together.models, strict=True):
        assert np.array_equal(one.flat, other.flat)
        assert np.array_equal(one.history.losses, other.history.losses)


def test_one_that_diverges_does_not_stop_the_others_of_a_population(rng):
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    architectures = [ms.MLP([2, width, 1]) for width in (2, 3)]
    nets = ms.Population(architectures, seeds=[1], lr=[1e38, 0.01])
    nets.fit(X, y, optimizer="sgd", loss="mse", batch_size=2, epochs=3, backend="cuda")
    for failed, fine in (nets.errors[:2], nets.errors[2:]):
        assert isinstance(failed, DivergedError)
        assert fine is None
    assert all(np.isfinite(model.flat).all() for model in nets.models)
    for model, error in zip(nets.models, nets.errors, strict=True):
        assert model.training.step == (9 if error is None else error.step - 1)
        assert len(model.history.losses) == model.training.step


def test_a_gpu_that_fails_leaves_all_of_a_population_as_it_was(monkeypatch, rng):
    """Also the one that had diverged, and whose steps were about to be taken again."""

    def fails(self, program, state, *_):
        state.flat[...] = 7
        raise BackendUnavailableError("the GPU failed")

    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    nets = ms.Population(ms.MLP([2, 2, 1]), seeds=[1, 2], lr=[1e38])
    before = [model.flat.copy() for model in nets.models]
    monkeypatch.setattr(cuda_population.CudaBackend, "train", fails)
    with pytest.raises(BackendUnavailableError):
        nets.fit(X, y, optimizer="sgd", loss="mse", batch_size=2, epochs=3, backend="cuda")
    assert [model.training.step for model in nets.models] == [0, 0]
    for model, flat in zip(nets.models, before, strict=True):
        assert np.array_equal(model.flat, flat)


def test_ctrl_c_ends_a_population_at_the_end_of_an_epoch(monkeypatch, rng):
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    advance = cuda_fleet.Fleet.advance

    def interrupted(self, first, count):
        signal.raise_signal(signal.SIGINT)
        advance(self, first, count)

    monkeypatch.setattr(cuda_fleet.Fleet, "advance", interrupted)
    nets = ms.Population(ms.MLP([2, 3, 1]), seeds=[1, 2])
    with pytest.raises(KeyboardInterrupt):
        nets.fit(X, y, batch_size=4, epochs=3, backend="cuda")
    for model in nets.models:
        assert (model.training.step, model.training.epoch, model.training.position) == (2, 1, 0)
        assert model.history.stopped == "interrupted"
