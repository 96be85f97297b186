"""A GPU that can't be used gives a reason, never an exception."""

import subprocess
import sys
import warnings
from types import SimpleNamespace

import numba.cuda
import numpy as np
import pytest
from numba.core import config
from numba.core.errors import NumbaPerformanceWarning

from mlp_kernels.cuda import availability
from mlp_kernels.cuda.device import IS_SIMULATOR


@pytest.fixture
def asked_anew():
    availability.unavailability.cache_clear()
    yield availability.unavailability
    availability.unavailability.cache_clear()


def test_it_can_be_asked_anywhere():
    reason = availability.unavailability()
    assert availability.available() == (reason == "")
    assert "\n" not in reason


@pytest.mark.skipif(not IS_SIMULATOR, reason="without the simulator it depends on the machine")
def test_the_simulator_is_available():
    assert availability.available()


@pytest.fixture
def pretended(monkeypatch, asked_anew):
    """A machine with a driver and numba-cuda, as far as Numba says."""
    if IS_SIMULATOR:
        pytest.skip("the simulator is always available")
    monkeypatch.setattr(numba.cuda, "is_available", lambda: True)
    monkeypatch.setattr(numba.cuda, "implementation", "NVIDIA")

    def pretend(**attributes):
        for name, value in attributes.items():
            monkeypatch.setattr(numba.cuda, name, value)

    return pretend


def raising(error):
    def function(*_, **__):
        raise error

    return function


def test_no_driver(pretended, asked_anew):
    pretended(is_available=lambda: False, cuda_error=lambda: "driver not found\nlong story")
    assert asked_anew() == "no usable NVIDIA GPU or driver: driver not found"


def test_a_driver_without_numba_cuda(pretended, asked_anew):
    pretended(implementation="Built-in")
    assert asked_anew() == (
        "there is a GPU, but Numba's own `numba.cuda` lacks what kernels need; install numba-cuda[cu13]"
    )


def test_an_old_gpu(pretended, asked_anew):
    pretended(get_current_device=lambda: SimpleNamespace(compute_capability=(7, 5)))
    assert asked_anew() == "the GPU has compute capability 7.5, expected at least 8.0 (Ampere or newer)"


def test_a_driver_without_a_toolkit(pretended, asked_anew):
    pretended(
        get_current_device=lambda: SimpleNamespace(compute_capability=(9, 0)),
        jit=raising(RuntimeError("libNVVM cannot be found.\nDo conda install")),
    )
    reason = asked_anew()
    assert "nothing that compiles for it (libNVVM cannot be found.)" in reason
    assert "numba-cuda[cu13]" in reason


def test_a_gpu_that_takes_no_work(pretended, asked_anew):
    pretended(
        get_current_device=lambda: SimpleNamespace(compute_capability=(9, 0)),
        jit=lambda _signature: lambda function: function,
        to_device=raising(OSError("out of memory")),
    )
    assert asked_anew() == "the GPU could not be used: OSError: out of memory"


def test_a_gpu_that_computes_wrongly(pretended, asked_anew):
    class Forgetful:
        def __getitem__(self, _configuration):
            return lambda _values: None

    pretended(
        get_current_device=lambda: SimpleNamespace(compute_capability=(9, 0)),
        jit=lambda _signature: lambda _function: Forgetful(),
        to_device=lambda array: SimpleNamespace(copy_to_host=lambda: array),
    )
    assert "wrong numbers" in asked_anew()


def test_warnings_as_errors_do_not_make_it_unavailable(pretended, asked_anew, monkeypatch):
    """As in these tests: Numba warns, where it isn't told otherwise, that a few threads can't fill a GPU."""

    class AddsOne:
        def __getitem__(self, _configuration):
            if config.CUDA_LOW_OCCUPANCY_WARNINGS:
                warnings.warn(NumbaPerformanceWarning("Grid size 1 will likely result in ..."), stacklevel=1)
            return lambda on_gpu: np.add(on_gpu.copy_to_host(), 1, out=on_gpu.copy_to_host())

    monkeypatch.setattr(config, "CUDA_LOW_OCCUPANCY_WARNINGS", 1)
    pretended(
        get_current_device=lambda: SimpleNamespace(compute_capability=(9, 0)),
        jit=lambda _signature: lambda _function: AddsOne(),
        to_device=lambda array: SimpleNamespace(copy_to_host=lambda: array),
    )
    assert asked_anew() == ""


def test_an_import_that_fails():
    code = (
        "import sys; sys.modules['numba.cuda'] = None\n"
        "from mlp_kernels.cuda.availability import unavailability\n"
        "print(unavailability())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "numba.cuda can't be imported" in printed
    assert "numba-cuda[cu13]" in printed
