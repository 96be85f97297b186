"""Frozen layers: nothing of theirs moves, and the way back ends where nothing below learns."""

from functools import partial

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_kernels.cuda import phases
from mlp_scratch.backends import cuda_lowering
from mlp_scratch.backends.cuda_lowering import Lowered
from mlp_scratch.losses import CrossEntropy
from mlp_scratch.program import lower
from tests.backends.simulated_cuda.networks import use
from tests.backends.test_parity import FROZEN, build, check_gradients, check_training, everything_that_learns


@pytest.mark.parametrize("frozen", FROZEN, ids=str)
def test_frozen_layers(frozen, monkeypatch, rng):
    use(monkeypatch, "block")
    layers = everything_that_learns(3, 4, 2, frozen)
    X, y = rng.normal(size=(8, 3)), rng.integers(0, 2, 8)
    options = {"loss": "cross_entropy", "batch_size": 4, "epochs": 2}
    options["optimizer"] = ms.SGD(0.02, momentum=0.9, weight_decay=0.1)
    check_training(partial(build, layers), X, y, backend="cuda", **options)
    check_gradients(layers, X, y, CrossEntropy(), backend="cuda")
    model = build(layers)
    before = model.flat.copy()
    model.fit(X, y, backend="cuda", progress=False, **options)
    for part in lower(model, CrossEntropy(), ms.SGD()).frozen:
        assert np.array_equal(model.flat[part], before[part])
        assert not model.training.slots[:, part].any()


def test_the_way_back_ends_at_the_lowest_stage_that_learns():
    def phases_of(*frozen, update="train"):
        program = lower(build(everything_that_learns(3, 4, 2, frozen)), ms.MSE(), ms.Adam())
        rows = Lowered(program, 4, cuda_lowering.row_in_memory, update).phases.tolist()
        return [(kind, s) for kind, s in rows if kind in (phases.BACK, phases.COLUMNS_BACK, phases.LEARN)]

    columns_back, back, learn = phases.COLUMNS_BACK, phases.BACK, phases.LEARN
    whole = phases_of()
    assert whole == [(columns_back, 3), (back, 3), (columns_back, 2), (back, 2), (columns_back, 1), (back, 1),
                     (columns_back, 0), (learn, 0)]  # fmt: skip
    assert phases_of(0) == [*whole[:5], (learn, 1)]
    assert phases_of(0, 1) == phases_of(0)
    assert phases_of(0, 1, 2) == [*whole[:3], (learn, 2)]
    assert phases_of(0, 1, 2, 4, 5) == [*whole[:1], (learn, 2)]
    assert phases_of(*range(8)) == [(learn, 2)]
    assert phases_of(*range(8), update="gradient") == whole


def test_networks_of_a_population_that_differ_in_what_is_frozen_are_not_mixed_up(rng):
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    architectures = [ms.MLP([2, 3, 1]) for _ in range(3)]
    architectures[1].freeze(0)
    architectures[2].freeze(2)
    nets = ms.Population(architectures, seeds=[1]).fit(X, y, batch_size=4, epochs=2, backend="cuda")
    fresh = ms.MLP([2, 3, 1], seed=1)
    for network, frozen in zip(nets.models, ((), (0,), (2,)), strict=True):
        for name, view in network.parameters.items():
            assert np.array_equal(view, fresh.parameters[name]) == (int(name[0]) in frozen), (name, frozen)
