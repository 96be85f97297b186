"""Every layer, loss and optimiser of the other backends' tables, and the suite that every backend passes."""

from functools import partial

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.losses import BinaryCrossEntropy, CrossEntropy
from mlp_scratch.testing import Problem, check_backend
from tests.backends.simulated_cuda.networks import use
from tests.backends.test_parity import LAYERS, LOSSES, OPTIMIZERS, build, check_gradients, check_training

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and infinity are ordinary numbers on a GPU


OWN_LAYERS, OWN_LOSSES = ([name for name in table if not name.startswith("given")] for table in (LAYERS, LOSSES))
"""Without a user's functions, which this backend refuses by name."""


@pytest.mark.parametrize("name", OWN_LAYERS)
def test_every_layer(name, monkeypatch, rng):
    use(monkeypatch, "launches")
    layers = [ms.Dense(3, 5), LAYERS[name], ms.Dense(5, 2)]
    X, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    check_gradients(layers, X, y, ms.MSE(), backend="cuda")
    options = {"loss": "mse", "optimizer": ms.SGD(0.05), "batch_size": 4, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


@pytest.mark.parametrize("name", OWN_LAYERS)
def test_every_layer_on_the_input_and_on_the_output(name, monkeypatch, rng):
    use(monkeypatch, "launches")
    X, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
    check_gradients([LAYERS[name], ms.Dense(3, 4), LAYERS[name]], X, y, ms.MSE(), backend="cuda")


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", OWN_LOSSES)
def test_every_loss(name, weighted, monkeypatch, rng):
    use(monkeypatch, "launches")
    loss, targets = LOSSES[name]
    layers = [ms.Dense(3, 4), ms.Tanh(), ms.Dense(4, 3)]
    X, y = rng.normal(size=(9, 3)), targets(rng, 9, 3)
    weights = rng.uniform(size=9) * (rng.uniform(size=9) > 0.2) if weighted else None
    check_gradients(layers, X, y, loss, weights, backend="cuda")
    options = {"loss": loss, "sample_weight": weights, "optimizer": ms.SGD(0.1), "batch_size": 4, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name, monkeypatch, rng):
    use(monkeypatch, "block")
    layers = [ms.Dense(3, 5), ms.PReLU(), ms.BatchNorm(), ms.Dense(5, 4, bias=False), ms.GELU(), ms.Dense(4, 2)]
    X, y = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    options = {"loss": "cross_entropy", "optimizer": OPTIMIZERS[name], "batch_size": 3, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


@pytest.mark.parametrize("way", ["block", "graph"])
def test_a_hundred_steps(way, monkeypatch, rng):
    use(monkeypatch, way)
    layers = [ms.Dense(3, 4), ms.PReLU(), ms.BatchNorm(), ms.Dropout(0.2), ms.Dense(4, 2)]
    X, y = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    options = {"loss": "cross_entropy", "optimizer": ms.Adam(0.01, eps=1e-3), "batch_size": 4, "epochs": 50}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


def test_extreme_logits_lose_nothing(each_way):
    X, y = np.array([[1e4, -1e4], [-1e4, 1e4], [300.0, 0.0]]), np.array([1, 1, 0])
    check_gradients([ms.Dense(2, 2)], X, y, CrossEntropy(), backend="cuda")
    check_gradients([ms.Dense(2, 2)], X, np.eye(2)[y], BinaryCrossEntropy(), backend="cuda")


@pytest.mark.parametrize(
    "layers",
    [
        [ms.BatchNorm(3), ms.Tanh()],
        [ms.Dense(3, 1)],
        [ms.Dense(3, 1), ms.Dense(1, 1), ms.Dense(1, 2)],
        [ms.PReLU(), ms.Dropout(0.3), ms.Dense(3, 4), ms.Dense(4, 2), ms.BatchNorm(), ms.PReLU(per_feature=True)],
    ],
    ids=["no dense layer", "one output", "widths of one", "columns at both ends"],
)
def test_unusual_networks(layers, each_way, rng):
    outputs = build(layers).n_outputs
    X, y = rng.normal(size=(6, 3)), rng.normal(size=(6, outputs))
    check_gradients(layers, X, y, ms.MSE(), backend="cuda")
    options = {"loss": "mse", "optimizer": "momentum", "batch_size": 4, "epochs": 2}
    check_training(partial(build, layers), X, y, backend="cuda", **options)


def test_batches_of_one_and_batches_larger_than_the_data(each_way, rng):
    X, y = rng.normal(size=(5, 2)), rng.normal(size=5)
    for batch in (1, 9):
        options = {"loss": "huber", "batch_size": batch, "epochs": 1}
        check_training(partial(build, [ms.Dense(2, 3), ms.ReLU(), ms.Dense(3, 1)]), X, y, backend="cuda", **options)


def test_the_suite_of_every_backend(monkeypatch, rng):
    layers = [ms.Dense(3, 4), ms.BatchNorm(), ms.ELU(), ms.Dropout(0.25), ms.Dense(4, 3)]
    X, y, w = rng.integers(-32, 32, (7, 3)) / 16, rng.integers(0, 3, 7), rng.uniform(0.1, 1, 7)
    use(monkeypatch, "block")
    problem = Problem(layers, CrossEntropy(0.1), ms.Adam(0.01), X, y, w, "float32", 1, 4)
    check_backend("cuda", problem)
    use(monkeypatch, "graph")
    check_backend("cuda", problem)
    use(monkeypatch, "launches")
    check_backend("cuda", Problem(layers[:1], ms.MAE(), ms.SGD(0.1, 0.1), X, X[:, [0] * 4], None, "float64", 1, 3))
