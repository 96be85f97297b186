"""What the backend launches is what the real compiler is tried on: the same kernels, arguments of the same types.

The simulator runs any Python on any arguments, so it can't know that a kernel would not compile for those it was given.
`mlp_kernels.cuda.assembly` compiles all configurations that it lists, and this holds the list to the launches.
"""

import pytest
from numba import types
from numba.core.config import ENABLE_CUDASIM
from numba.np import numpy_support

import mlp_scratch as ms
from mlp_kernels.cuda import gemm
from mlp_kernels.cuda.assembly.configurations import configurations, networks
from mlp_kernels.cuda.network import BLOCK_SIDES, GRID_SIDE
from mlp_scratch.backends import cuda_ways
from mlp_scratch.program import PRECISIONS, lower
from tests.backends.simulated_cuda.networks import way_of

pytestmark = [
    pytest.mark.skipif(not ENABLE_CUDASIM, reason="only the simulator tells what is launched"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def type_of(value):
    """What Numba takes an argument for."""
    if type(value) is int:
        return types.int64
    assert value.ndim == 1
    assert value.is_c_contiguous()
    return numpy_support.from_dtype(value.dtype)[::1]


@pytest.fixture
def launches(monkeypatch):
    """Kernels and the types of their arguments, of every launch."""
    from numba.cuda.simulator.kernel import FakeCUDAKernel

    noted, run = set(), FakeCUDAKernel.__call__

    def note(kernel, *arguments):
        noted.add((id(kernel), tuple(map(type_of, arguments))))
        run(kernel, *arguments)

    monkeypatch.setattr(FakeCUDAKernel, "__call__", note)
    monkeypatch.setattr(gemm, "choose", lambda precision, *_: gemm.TILES[precision][-1])  # the quickest to simulate
    return noted


def fit(rng, dtype, precision=None):
    X, y = rng.normal(size=(3, 2)), rng.integers(0, 2, 3)
    model = ms.Sequential([ms.Dense(2, 3), ms.BatchNorm(), ms.ReLU(), ms.Dropout(0.2), ms.Dense(3, 2)], dtype=dtype)
    model.fit(X, y, batch_size=3, epochs=1, backend="cuda", precision=precision, progress=False)
    return model.predict(X, backend="cuda")


def use(patch, name, side):
    def choose(_program, _size, update, **_):
        return way_of(name, update, side if update == "train" else GRID_SIDE)

    patch.setattr(cuda_ways, "THREADS", 3)
    patch.setattr(cuda_ways, "way_for", choose)


WAYS = [(way, side) for way in ("block in shared memory", "block") for side in BLOCK_SIDES]
WAYS += [(way, GRID_SIDE) for way in ("grid", "launches", "matrices")]


def test_every_launch_is_of_a_configuration_that_is_compiled(launches, monkeypatch, rng):
    compiled = {id(c.make()): (str(c), c.arguments) for c in configurations()}
    for way, side in WAYS:
        for dtype in ("float32", "float64"):
            with monkeypatch.context() as patch:
                use(patch, way, side)
                fit(rng, dtype)
    for precision in PRECISIONS["float32"][1:]:
        fit(rng, "float32", precision)
    ms.Population(ms.MLP([2, 2, 1]), seeds=range(2)).fit(rng.normal(size=(3, 2)), rng.normal(size=3), backend="cuda")
    for kernel, arguments in launches:
        name, expected = compiled.get(kernel, ("a kernel that is not listed", None))
        assert arguments == expected, name
    launched = {compiled[kernel][0] for kernel, _ in launches}
    assert {str(c) for c in networks()} <= launched
    assert {name.split(",")[0] for name in launched} >= set(gemm.TILES)


@pytest.mark.parametrize(("widths", "batch"), [([2, 24, 1], 32), ([64, 32, 10], 32), ([784, 256, 10], 256)])
def test_the_sides_of_tiles_are_those_that_are_compiled(widths, batch):
    way = cuda_ways.way_for(lower(ms.MLP(widths), ms.MSE(), ms.Adam()), batch, "train")
    assert way.side in (BLOCK_SIDES if way.name in ("block", "block in shared memory") else (GRID_SIDE,))
