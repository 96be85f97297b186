"""Settings for the tests of GPU kernels."""

import sys

import pytest

from mlp_kernels.cuda.device import IS_SIMULATOR


@pytest.fixture(autouse=IS_SIMULATOR, scope="session")
def quick_threads():
    """Threads of the simulator wait for each other in loops: let them hand over soon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)
