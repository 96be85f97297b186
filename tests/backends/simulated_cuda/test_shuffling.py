"""The order of an epoch as the GPU draws and sorts it: the one that every backend takes."""

import numpy as np
import pytest
from numba.core.config import ENABLE_CUDASIM

import mlp_scratch as ms
from mlp_scratch.backends import State
from mlp_scratch.backends.base import Samples
from mlp_scratch.backends.cuda_data import DataSet
from mlp_scratch.backends.cuda_fleet import Course, Fleet
from mlp_scratch.program import lower
from mlp_scratch.random import permutation
from tests.backends.simulated_cuda.networks import use

SEEDS = [3, 2**64 - 5, 7]


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 33, 64])
def test_any_number_of_samples_is_put_in_the_order_of_every_backend(n, threads, monkeypatch, rng):
    use(monkeypatch, "block", threads=threads)
    model = ms.MLP([1, 1])
    program = lower(model, ms.MSE(), ms.SGD())
    fleet, data = Fleet(program, 3, n), DataSet(Samples(rng.normal(size=(n, 1)), rng.normal(size=n)), program.dtype)
    active = np.array([True, True, False])
    fleet.begin(Course(n, n, None, np.ones(2), np.ones(3), SEEDS, 1, 4, active), data)
    fleet.load([State(model.flat, model.buffer_vector, np.empty((0, model.n_parameters)))] * 3)
    untouched = fleet.tables.copy_to_host()[fleet.orders_at + 2 * n :]
    fleet.advance(0, 2)  # epochs 4 and 5
    orders = fleet.tables.copy_to_host()[fleet.orders_at :]
    for k in range(2):
        assert np.array_equal(orders[k * n : (k + 1) * n], permutation(SEEDS[k], 5, n))
    assert np.array_equal(orders[2 * n :], untouched)


@pytest.mark.skipif(not ENABLE_CUDASIM, reason="what is compiled knows its random numbers")
def test_samples_with_equal_words_keep_their_order(monkeypatch, rng):
    from mlp_kernels.cuda import shuffling

    use(monkeypatch, "block")
    monkeypatch.setattr(
        shuffling, "random_word", lambda _seed, _step, _layer, _row, column: np.uint64(2**32 - 1 - column // 5)
    )
    program = lower(ms.MLP([1, 1]), ms.MSE(), ms.SGD())
    fleet, data = Fleet(program, 1, 11), DataSet(Samples(rng.normal(size=(11, 1)), rng.normal(size=11)), program.dtype)
    fleet.begin(Course(11, 11, None, np.ones(1), np.ones(1), [0], 1, 0, np.ones(1, bool)), data)
    fleet.advance(0, 1)
    order = fleet.tables.copy_to_host()[fleet.orders_at :][:11]
    assert order.tolist() == [10, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
