"""The CUDA backend in Numba's simulator: `test_cuda.py` runs this folder with NUMBA_ENABLE_CUDASIM=1.

The simulator runs every GPU thread as Python code, so networks are tiny and blocks have a few threads; what they
compute is the same for any number. The tables of layers, losses and optimisers are those of the other backends.
A GPU runs these tests too; where there is neither, nothing here is collected.
"""

import sys

import pytest

from mlp_kernels.cuda.availability import unavailability
from tests.backends.simulated_cuda.networks import WAYS, use

collect_ignore_glob = ["test_*.py"] if unavailability() else []


@pytest.fixture(autouse=True)
def quick_threads():
    """The simulator's threads wait in loops: let them hand over soon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=WAYS)
def each_way(request, monkeypatch):
    return use(monkeypatch, request.param)
