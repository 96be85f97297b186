"""The ways in which a program is run: the same bits in each, and which is chosen when."""

from functools import partial

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_kernels.cuda import gemm, shared_memory
from mlp_kernels.cuda.device import IS_SIMULATOR
from mlp_kernels.cuda.tiles import Tile
from mlp_scratch.backends import cuda_ways
from mlp_scratch.backends.cuda_ways import Way
from mlp_scratch.program import lower
from tests.backends.simulated_cuda.networks import WAYS, trained, use
from tests.backends.test_parity import build, check_training
from tests.tolerances import assert_parity

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and infinity are ordinary numbers on a GPU


def test_the_same_bits_in_every_way_with_any_number_of_threads_and_any_tile(monkeypatch, rng):
    """All that a stage can be, so that the other tests need not go every way."""
    layers = [ms.PReLU(), ms.Dense(4, 5), ms.BatchNorm(), ms.ReLU(), ms.Dropout(0.2), ms.Dense(5, 3), ms.GELU()]
    layers += [ms.Dense(3, 3, trainable=False), ms.PReLU(trainable=False)]
    X, y = rng.normal(size=(10, 4)), rng.integers(0, 3, 10)
    results = []
    for way, side, threads in [(way, 2, 3) for way in WAYS] + [("launches", 4, 1), ("block", 1, 32)]:
        use(monkeypatch, way, side, threads)
        results.append(trained(X, y, layers=layers, optimizer="adam"))
    for other in results[1:]:
        assert np.array_equal(other.flat, results[0].flat)
        assert np.array_equal(other.buffer_vector, results[0].buffer_vector)
        assert np.array_equal(other.history.losses, results[0].history.losses)


@pytest.mark.parametrize("way", ["matrices", "graph"])
def test_products_by_matrix_kernels(way, monkeypatch, rng):
    """A few products only: a block of these kernels has 32 threads even for the smallest tile."""
    tile = Tile(16, 32, 4, warp_rows=16, warp_columns=32, lane_rows=4, lane_columns=4)
    monkeypatch.setattr(gemm, "choose", lambda *_: tile)
    monkeypatch.setattr(cuda_ways, "way_for", lambda *_, **__: Way(way, 2))
    layers = [ms.Dense(3, 5), ms.GELU(), ms.Dropout(0.2), ms.Dense(5, 2, bias=False), ms.PReLU(), ms.Dense(2, 3)]
    layers += [ms.Dense(3, 3, trainable=False)]
    X, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)
    options = {"loss": "cross_entropy", "optimizer": "adam", "batch_size": 3, "epochs": 1 if way == "matrices" else 3}
    check_training(partial(build, layers), X, y, backend="cuda", **options)
    model = build(layers)
    assert_parity(model.logits(X, backend="cuda"), model.logits(X, backend="numpy"), "logits")


def test_the_way_is_chosen_by_size(monkeypatch):
    monkeypatch.setattr(shared_memory, "largest", lambda: shared_memory.PLAIN)

    def way(widths, batch, **options):
        program = lower(ms.MLP(widths), ms.MSE(), ms.Adam())
        return cuda_ways.way_for(program, batch, "train", **options).name

    assert way([2, 24, 1], 32) == "block in shared memory"
    assert way([64, 64, 10], 32) == "block"
    assert way([784, 128, 10], 128) == "grid"
    assert way([784, 1024, 1024, 10], 256) == "graph"
    assert way([4096, 4096, 4096, 10], 1024) == "matrices"
    assert way([784, 256, 10], 256, networks=10) == "block"


@pytest.mark.skipif(not IS_SIMULATOR, reason="a GPU has what it has")
def test_more_shared_memory_is_asked_for_and_missed_by_nobody(monkeypatch):
    program = lower(ms.MLP([64, 64, 10]), ms.MSE(), ms.Adam())
    assert cuda_ways.way_for(program, 32, "train").name == "block"
    monkeypatch.setattr(shared_memory, "largest", lambda: 227 * 1024)
    asked = []
    monkeypatch.setattr(shared_memory, "_ask", lambda kernel, element, size: asked.append(size))
    assert cuda_ways.way_for(program, 32, "train").name == "block in shared memory"
    # A smaller network that is run in between may not lower the limit, which is the kernel's, below what this one has.
    assert cuda_ways.way_for(program, 16, "gradient").name == "block in shared memory"
    assert asked == [227 * 1024] * 2
    monkeypatch.delattr(shared_memory, "_ask")  # as where the driver, or a version of Numba, does it otherwise
    assert cuda_ways.way_for(program, 32, "train").name == "block"
