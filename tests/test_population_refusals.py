"""What a population refuses, before any of its networks is changed."""

import pytest

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError
from tests.refusals import assert_refused, snapshot


@pytest.fixture
def data(rng):
    return rng.normal(size=(50, 3)), rng.normal(size=50)


@pytest.fixture
def model():
    return ms.Sequential([ms.Dense(3, 7), ms.ReLU(), ms.Dropout(0.2), ms.Dense(7, 1)], seed=99)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seeds": []}, "seeds: got none"),
        ({"seeds": [-1]}, "seeds: got -1"),
        ({"seeds": 5}, r"seeds: got 5 .*range\(10\)"),
        ({"seeds": [0], "lr": [0.0]}, "lr: got 0.0"),
        ({"seeds": [0], "lr": "fast"}, "lr: got 'fast'"),
        ({"seeds": [0], "lr": []}, "lr: got none"),
        ({"seeds": [0], "init": "hee"}, "init: got 'hee'"),
        ({"seeds": [0], "init": []}, "init: got none"),
        ({"seeds": [0], "model": []}, "model: got"),
        ({"seeds": [0], "model": [[3, 4, 1]]}, "model: got"),
    ],
)
def test_bad_arguments(arguments, said, model):
    with pytest.raises(ArgumentError, match=said):
        ms.Population(**{"model": model} | arguments)


@pytest.mark.parametrize(
    ("options", "said"), [({"epochs": 0}, "epochs"), ({"threads": 0}, "threads"), ({"batch_size": 0}, "batch_size")]
)
def test_bad_arguments_of_fit_change_nothing(options, said, model, data):
    nets = ms.Population(model, seeds=[0])
    with pytest.raises(ArgumentError, match=said):
        nets.fit(*data, **options)
    assert nets.models[0].training is None


def test_data_that_fit_one_architecture_and_not_the_next_train_none(model, data):
    nets = ms.Population([model, ms.MLP([3, 4, 2])], seeds=[0])
    with pytest.raises(ArgumentError, match="y: got"):
        nets.fit(*data, loss="mse")
    assert all(network.training is None for network in nets.models)


def test_a_backend_that_trains_one_network_at_a_time_is_refused(model, data):
    with pytest.raises(ArgumentError, match="backend: got 'numpy', expected 'auto', 'numba' or 'cuda'"):
        ms.Population(model, seeds=[0]).fit(*data, backend="numpy")


class OwnOptimizer(ms.SGD):
    """A subclass of a known optimiser, which may compute something else."""


class OwnLayer(ms.ReLU):
    """The same of a layer."""


SPELLED = ms.ScalarActivation("spelled", lambda x: float(str(x)), lambda x: 1.0)
SPELLED_LOSS = ms.ScalarLoss("spelled_loss", lambda z, t: float(str(z - t)), lambda z, t: 1.0)


@pytest.mark.parametrize("backend", ["auto", "numba"])
@pytest.mark.parametrize(
    ("last", "options", "named"),
    [
        (ms.ReLU(), {"optimizer": OwnOptimizer()}, "OwnOptimizer"),
        (ms.ReLU(), {"loss": SPELLED_LOSS}, "spelled_loss, whose f Numba can't compile: .*"),
        (OwnLayer(), {}, "OwnLayer"),
        (SPELLED, {}, "spelled, whose f Numba can't compile: .*"),
    ],
)
def test_what_cannot_be_compiled_is_refused_before_any_network_is_changed(last, options, named, backend, data):
    """Even where the first ones of a list can be compiled."""
    nets = ms.Population([ms.MLP([3, 4, 1]), ms.Sequential([ms.Dense(3, 1), last])], seeds=range(2))
    for network in nets.models:
        network.fit(*data, loss="mse", epochs=1, backend="numpy", progress=False)
    before = [snapshot(network) for network in nets.models]
    message = (
        rf"backend: got '{backend}' for a model with {named}, expected layers, losses and optimisers of the package "
        r"itself; fit single models with backend='numpy'"
    )
    assert_refused(lambda: nets.fit(*data, epochs=1, backend=backend, **options), ArgumentError, message)
    assert [snapshot(network) for network in nets.models] == before
