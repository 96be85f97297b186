"""Which backend "auto" takes: the fastest that has code for everything in the model."""

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch import backends
from mlp_scratch.backends import get_backend
from mlp_scratch.program import lower


@dataclass(frozen=True)
class Doubled(ms.ReLU):
    """A user's own layer: a subclass of a known one, with its kind, that computes something else."""

    def function(self, x):
        return 2 * super().function(x)

    def derivative(self, x):
        return 2.0 * super().derivative(x)


X, Y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2


@pytest.fixture(autouse=True)
def without_a_gpu(monkeypatch):
    """On a machine with one "auto" takes that; `simulated_cuda/test_refusals.py` has such a machine."""
    monkeypatch.setattr(backends, "_has_gpu", lambda: False)


def model(layer):
    return ms.Sequential([ms.Dense(3, 5), layer, ms.Dense(5, 2)], seed=0)


def program(layer):
    return lower(model(layer), ms.CrossEntropy(), ms.SGD(0.1))


def test_auto_takes_the_fastest_that_can():
    assert get_backend("auto", program(ms.ReLU())).name == "numba"
    assert get_backend("auto", program(Doubled())).name == "numpy"


def test_a_layer_without_a_kernel_trains_as_on_numpy():
    auto, numpy = model(Doubled()), model(Doubled())
    auto.fit(X, Y, epochs=2)
    numpy.fit(X, Y, epochs=2, backend="numpy")
    assert np.array_equal(auto.flat, numpy.flat)
    assert np.array_equal(auto.logits(X), numpy.logits(X, backend="numpy"))


@pytest.mark.parametrize("backend", [["numpy"], None, 3])
def test_a_backend_is_a_name(backend):
    with pytest.raises(ms.errors.ArgumentTypeError, match=r"backend: got .*, expected the name of one"):
        ms.MLP([2, 2]).fit(np.zeros((2, 2)), [0, 1], backend=backend)


def test_numba_refuses_it_by_name():
    with pytest.raises(ms.ArgumentError, match=r"backend: got 'numba' for a model with Doubled, .*backend='numpy'"):
        model(Doubled()).logits(X, backend="numba")


@pytest.mark.parametrize(("setting", "value"), [("NUMBA_NUM_THREADS", "0"), ("NUMBA_DISABLE_JIT", "1")])
@pytest.mark.parametrize("backend", ["auto", "numba"])
def test_settings_that_numba_cannot_work_with_are_named(setting, value, backend, monkeypatch):
    """Before it is imported, which would end in an error of its own."""
    monkeypatch.setenv(setting, value)
    backends._numba_backend.cache_clear()
    try:
        with pytest.raises(ms.ArgumentError, match=f"{setting}: got '{value}', .*unset it, or use backend='numpy'"):
            ms.MLP([2, 1]).fit([[0.0, 1.0]], [0.0], backend=backend)
        assert "numba" not in backends.usable_backends()
    finally:
        backends._numba_backend.cache_clear()
    ms.MLP([2, 1]).fit([[0.0, 1.0]], [0.0], backend="numpy", epochs=1, progress=False)


def test_to_a_population_they_are_named_before_numba_is_imported():
    """In a process of its own, which has not imported it."""
    code = "import mlp_scratch as ms; ms.Population(ms.MLP([2, 1]), seeds=[0]).fit([[0.0, 1.0]], [0.0])"
    settings = os.environ | {"NUMBA_NUM_THREADS": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ArgumentError: NUMBA_NUM_THREADS: got '0', expected an integer of at least 1" in done.stderr
