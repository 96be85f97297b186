"""What kernels ask of numba-cuda past its documents: that the version installed has it, and takes what it is given.

The driver here is a stand-in: nothing is launched.
"""

from types import SimpleNamespace

import pytest
from numba import cuda, types

from mlp_kernels.cuda import graphs, shared_memory
from mlp_kernels.cuda.assembly.compiler import missing
from mlp_kernels.cuda.assembly.configurations import networks
from mlp_kernels.cuda.availability import unavailability
from mlp_kernels.cuda.device import jit

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "numba-cuda is installed")


@jit(launch_bounds=(64, 1))
def nothing(tables, data, feed, state, first, count):
    pass


def test_it_says_what_it_is():
    assert cuda.implementation == "NVIDIA"


def test_a_kernel_is_not_optimised_once_more_when_it_is_linked():
    assert nothing.targetoptions["lto"] is False
    assert nothing.targetoptions["launch_bounds"] == (64, 1)


@pytest.mark.skipif(not unavailability(), reason="a stand-in in place of a driver that is there")
def test_more_shared_memory_is_asked_for_in_nvidias_words(monkeypatch):
    """For the very kernel that is launched later, with arguments of the types of a network's."""
    from numba.cuda import codegen, dispatcher
    from numba.cuda.cudadrv import driver

    calls = []
    loaded = SimpleNamespace(handle=driver.binding.CUkernel(5), device=SimpleNamespace(id=0))
    loaded.module = SimpleNamespace(initialized=True)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(9, 0)))
    monkeypatch.setattr(codegen.CUDACodeLibrary, "_ensure_cc", lambda _self, _cc: (9, 0, "a"))
    monkeypatch.setattr(codegen.CUDACodeLibrary, "get_cufunc", lambda _self: loaded)
    monkeypatch.setitem(driver.driver.__dict__, "cuKernelSetAttribute", lambda *arguments: calls.append(arguments))
    shared_memory._ask(nothing, types.float32, 100_000)
    ((attribute, size, kernel, device),) = calls
    assert "MAX_DYNAMIC_SHARED_SIZE" in attribute.name
    assert (size, kernel, device) == (100_000, loaded.handle, 0)
    with pytest.raises(RuntimeError, match="driver"):  # NVIDIA's function looks for it once it has seen its arguments
        driver.binding.cuKernelSetAttribute(attribute, size, kernel, device)
    block = next(c for c in networks() if c.name == "block in shared memory")
    assert list(nothing.overloads) == [block.arguments]


@pytest.mark.parametrize("name", ["MULTIPROCESSOR_COUNT", "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"])
def test_a_gpu_is_asked_for_what_it_knows(name):
    from numba.cuda.cudadrv import driver

    assert hasattr(driver.binding.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")


@pytest.mark.skipif(not unavailability(), reason="there is a driver")
def test_a_graph_is_missing_nothing_but_the_driver():
    with pytest.raises(graphs.RefusedError, match="CudaSupportError: Error at driver init"):
        graphs.record(SimpleNamespace(handle=0), lambda: pytest.fail("launched"))
