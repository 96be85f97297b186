"""A population is its networks, each trained alone: same bits, same records."""

import os
import signal
import threading
import time
from itertools import product

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch import jobs, population
from mlp_scratch.backends import numba_cores
from tests.backends.fits import few_startable


def alone(X, y, seed, lr=None, init=None, **options):
    layers = [ms.Dense(3, 7, weight_init=init), ms.ReLU(), ms.Dropout(0.2), ms.Dense(7, 1, weight_init=init)]
    network = ms.Sequential(layers, seed=seed)
    network.fit(X, y, optimizer=ms.Adam(lr or 1e-3), backend="numba", progress=False, **options)
    return network


@pytest.fixture
def data(rng):
    return rng.normal(size=(50, 3)), rng.normal(size=50)


@pytest.fixture(autouse=True)
def _three_cores(monkeypatch):
    """Wherever the tests run."""
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: 3)


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
        expected = alone(*data, seed, lr, rule, **options)
        assert np.array_equal(network.flat, expected.flat)
        assert np.array_equal(network.history.losses, expected.history.losses)
        assert np.array_equal(losses, expected.history.column("loss"))
        assert np.array_equal(network.training.slots, expected.training.slots)


@pytest.mark.parametrize("shuffle", [True, False])
def test_with_sample_weights_each_network_has_the_figures_of_training_it_alone(shuffle, model, data, rng):
    options = {"batch_size": 16, "epochs": 3, "loss": "mae", "sample_weight": rng.lognormal(0, 2, 50)}
    nets = ms.Population(model, seeds=(0, 5)).fit(*data, backend="numba", shuffle=shuffle, **options)
    for network, seed in zip(nets.models, (0, 5), strict=True):
        expected = alone(*data, seed, shuffle=shuffle, **options)
        assert np.array_equal(network.flat, expected.flat)
        assert network.history.column("loss") == expected.history.column("loss")


@pytest.mark.parametrize(("threads", "at_once"), [(None, 2), (1, 1), (2, 2), (8, 2)])
def test_threads_is_an_upper_limit_as_the_cores_are(threads, at_once, model, data, monkeypatch):
    asked = []
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    monkeypatch.setattr(population, "on_threads", lambda workers, *_: asked.append(workers))
    ms.Population(model, seeds=range(4)).fit(*data, epochs=1, threads=threads, backend="numba")
    assert asked == [at_once]


def test_a_network_of_a_population_can_be_trained_on(model, data):
    nets = ms.Population(model, seeds=[4]).fit(*data, optimizer=ms.Adam(), batch_size=16, epochs=2, backend="numba")
    nets.models[0].fit(*data, batch_size=16, epochs=1, backend="numba", progress=False)
    assert np.array_equal(nets.models[0].flat, alone(*data, 4, batch_size=16, epochs=3).flat)


def test_architectures_may_differ(data):
    nets = ms.Population([ms.MLP([3, width, 1]) for width in (2, 40)], seeds=range(2)).fit(*data, epochs=1)
    assert [network.parameters["0.bias"].size for network in nets.models] == [2, 2, 40, 40]
    assert np.isfinite(nets.losses).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_every_architecture_has_the_bits_of_training_it_alone(threads, data):
    shapes = [[3, 1], [3, 5, 1], [3, *[2] * 6, 1], [3, 70, 40, 1]]
    nets = ms.Population([ms.MLP(shape, batch_norm=True, activation="tanh") for shape in shapes], seeds=[3, 4])
    nets.fit(*data, loss="mse", optimizer="adam", batch_size=16, epochs=2, threads=threads)
    for network, (shape, seed) in zip(nets.models, product(shapes, (3, 4)), strict=True):
        expected = ms.MLP(shape, batch_norm=True, activation="tanh", seed=seed)
        expected.fit(*data, loss="mse", optimizer="adam", batch_size=16, epochs=2, backend="numba", progress=False)
        assert np.array_equal(network.flat, expected.flat)
        assert np.array_equal(network.buffer_vector, expected.buffer_vector)


def test_the_largest_are_trained_first(data, monkeypatch):
    order, run = [], jobs.Job.run

    def noted(job, *arguments):
        order.append([op.n_out for op in job.model.placed if isinstance(op.layer, ms.Dense)])
        return run(job, *arguments)

    monkeypatch.setattr(jobs.Job, "run", noted)
    ms.Population([ms.MLP([3, *hidden, 1]) for hidden in ([4], [100], [2] * 20)], seeds=[0]).fit(
        *data, epochs=1, threads=1
    )
    assert order == [[2] * 20 + [1], [100, 1], [4, 1]]


def test_ctrl_c_leaves_every_network_at_the_end_of_a_step(data):
    """And each goes on from there to the bits it would have had."""
    models = [ms.MLP([3, width, 1]) for width in (5, 9, 20)]
    nets = ms.Population(models, seeds=[2])

    def press():
        while all(network.training is None or network.training.step < 100 for network in nets.models):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        nets.fit(*data, batch_size=4, epochs=10**7, threads=2)
    presser.join()
    started = [network for network in nets.models if network.training is not None]
    assert started
    for network in started:
        assert len(network.history.losses) == network.training.step
        assert np.isfinite(network.flat).all()
        network.fit(*data, batch_size=4, epochs=1, backend="numba", progress=False)
        whole = ms.Sequential(network.layers, seed=2)
        whole.fit(*data, loss="mse", batch_size=4, epochs=network.training.epoch, backend="numba", progress=False)
        assert np.array_equal(network.flat, whole.flat)


def test_one_that_diverges_does_not_stop_the_others(model, data):
    nets = ms.Population(model, seeds=[1], lr=[1e38, 0.01]).fit(*data, optimizer="sgd", loss="mse", epochs=4)
    failed, fine = nets.errors
    assert failed is not None
    assert fine is None
    assert np.isfinite(nets.models[0].flat).all()
    assert np.isnan(nets.losses[0, -1])
    assert np.isfinite(nets.losses[1]).all()


def test_one_that_diverges_leaves_nothing_behind_for_the_next(model, data):
    """Which takes its place in the memory of the same thread."""
    far = ms.initializers.Constant(3e38)
    nets = ms.Population(model, seeds=[1], init=[far, "he_uniform"], lr=0.01)
    nets.fit(*data, optimizer=ms.Adam(), loss="mse", epochs=2, threads=1, backend="numba")
    assert nets.errors[0] is not None
    assert nets.errors[1] is None
    expected = alone(*data, 1, 0.01, "he_uniform", loss="mse", epochs=2)
    assert np.array_equal(nets.models[1].flat, expected.flat)
    assert nets.models[1].history.epochs[-1].loss == expected.history.epochs[-1].loss


@pytest.mark.parametrize("startable", [0, 1])
def test_as_many_threads_as_can_be_started(startable, model, data):
    one, other = (ms.Population(model, seeds=range(4)) for _ in range(2))
    one.fit(*data, epochs=2, threads=1)
    with few_startable(startable):
        other.fit(*data, epochs=2, threads=3)
    assert [m.flat.tobytes() for m in one.models] == [m.flat.tobytes() for m in other.models]


def test_more_threads_than_networks_and_fewer(data):
    expected = ms.Population(ms.MLP([3, 4, 1]), seeds=range(5)).fit(*data, epochs=2, threads=1, backend="numba")
    for threads in (2, 4, 9):
        nets = ms.Population(ms.MLP([3, 4, 1]), seeds=range(5)).fit(*data, epochs=2, threads=threads, backend="numba")
        assert np.array_equal(nets.losses, expected.losses)
        assert all(np.array_equal(a.flat, b.flat) for a, b in zip(nets.models, expected.models, strict=True))


def test_without_a_loss_each_network_keeps_its_own(data):
    X, y = data
    nets = ms.Population(ms.MLP([3, 4, 1]), seeds=[1, 2])
    for network, loss in zip(nets.models, ("mae", "huber"), strict=True):
        network.fit(X, y, loss=loss, epochs=1, progress=False)
    expected = [ms.MLP([3, 4, 1], seed=seed) for seed in (1, 2)]
    for network, loss in zip(expected, ("mae", "huber"), strict=True):
        network.fit(X, y, loss=loss, epochs=1, progress=False)
        network.fit(X, y, loss=loss, optimizer="adam", epochs=2, resume=False, backend="numba", progress=False)
    nets.fit(X, y, epochs=2, backend="numba")
    assert [network.task.kind for network in nets.models] == ["mae", "huber"]
    assert all(np.array_equal(a.flat, b.flat) for a, b in zip(nets.models, expected, strict=True))


def test_without_a_loss_networks_take_that_of_the_model_they_are_made_of(data):
    fitted, other = ms.MLP([3, 4, 1]), ms.MLP([3, 5, 1])
    fitted.fit(*data, loss=ms.Huber(0.5), epochs=1, progress=False)
    nets = ms.Population([fitted, other], seeds=[1, 2]).fit(*data, epochs=1)
    assert [network.task for network in nets.models] == [ms.Huber(0.5)] * 2 + [ms.MSE()] * 2


def test_an_array_of_no_axes_is_one_learning_rate(model):
    assert ms.Population(model, seeds=[0], lr=np.array(0.25)).lr == [0.25]
    assert ms.Population(model, seeds=[0], lr=np.array([0.25, 0.5])).lr == [0.25, 0.5]


def test_after_ctrl_c_no_network_has_figures_of_the_fit_before(data):
    X, y = data
    nets = ms.Population([ms.MLP([3, width, 1]) for width in (5, 20)], seeds=range(2))
    nets.fit(X * 1e30, y, loss="mse", epochs=1, threads=1)
    assert all(nets.errors)
    for network in nets.models:
        network.initialize(0)
        network.fit(X, y, epochs=1, backend="numba", progress=False)
    first, *others = sorted(nets.models, key=lambda network: -network.n_parameters)
    former = first.training

    def press():
        while first.training is former or first.training.step < 100:
            time.sleep(0.001)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # which does not wake the main thread

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        nets.fit(X, y, batch_size=4, epochs=10**7, threads=1)
    presser.join()
    assert nets.errors == [None] * 4
    assert [network.history.stopped for network in nets.models] == ["interrupted"] * 4
    assert first.training.step == len(first.history.losses) >= 100
    assert [(network.training.step, len(network.history.losses)) for network in others] == [(0, 0)] * 3
    assert [np.isfinite(losses).any() for losses in nets.losses] == [network is first for network in nets.models]


def test_after_an_error_the_others_are_interrupted(data, monkeypatch):
    """An error of this package or of the machine, that is, not one that belongs to a network."""
    nets = ms.Population(ms.MLP([3, 4, 1]), seeds=range(3)).fit(*data, epochs=1)

    def fail(course, stop):
        raise MemoryError

    monkeypatch.setattr(jobs.Course, "take_some_steps", fail)
    with pytest.raises(MemoryError):
        nets.fit(*data, epochs=1, threads=1, backend="numba")
    assert [network.history.stopped for network in nets.models] == ["", "interrupted", "interrupted"]
    assert np.isnan(nets.losses).all()
