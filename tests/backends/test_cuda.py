"""The CUDA backend on a machine without a GPU: the simulator's tests in a process of their own, and clear refusals."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import mlp_scratch as ms
from mlp_kernels.cuda import availability
from mlp_scratch import backends
from mlp_scratch.backends import get_backend, usable_backends
from mlp_scratch.errors import BackendUnavailableError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["simulated_cuda", "simulated_precisions.py"])
def test_everything_in_the_simulator(module):
    """A process decides once, when it loads Numba, whether GPUs are simulated."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/backends/{module}"]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert outcome.returncode == 0, outcome.stdout[-6000:] + outcome.stderr[-2000:]
    assert "passed" in outcome.stdout


@pytest.fixture
def a_broken_gpu(monkeypatch):
    """A machine with a GPU on which no kernel runs."""
    backends._has_gpu.cache_clear()
    backends._say_once.cache_clear()
    monkeypatch.setattr("mlp_scratch.machine.find_gpus", lambda: ([{"name": "H200"}], ""))
    # A driver's own words end in a full stop.
    monkeypatch.setattr(availability, "unavailability", lambda: "the GPU has compute capability 7.0.")
    yield
    backends._has_gpu.cache_clear()


def test_what_is_asked_for_and_cannot_run_is_refused_with_the_reason(a_broken_gpu):
    expected = r"backend 'cuda' can't run here: the GPU has compute capability 7\.0; use backend='numba'"
    with pytest.raises(BackendUnavailableError, match=expected):
        get_backend("cuda")
    with pytest.raises(BackendUnavailableError, match=expected):
        ms.Population(ms.MLP([1, 1]), seeds=[0]).fit([[0.0]], [0.0], backend="cuda")
    assert usable_backends() == ["numpy", "numba"]


@pytest.mark.parametrize("backend", ["auto", "cuda"])
def test_a_precision_of_tensor_cores_is_never_replaced_by_another(backend, a_broken_gpu):
    model = ms.MLP([1, 1])
    expected = (
        r"backend 'cuda' can't run here: the GPU has compute capability 7\.0; "
        r"precision 'tf32' needs it, so leave that out or use another machine"
    )
    with pytest.raises(BackendUnavailableError, match=expected):
        model.fit([[0.0]], [0.0], backend=backend, precision="tf32")
    assert model.training is None


def test_auto_says_once_why_it_passes_over_a_gpu(a_broken_gpu):
    with pytest.warns(UserWarning, match=r"backend='auto' passes over 'cuda': .*compute capability 7\.0"):
        assert get_backend("auto").name == "numba"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_backend("auto").name == "numba"


def test_auto_says_nothing_where_there_is_no_gpu(monkeypatch):
    backends._has_gpu.cache_clear()
    monkeypatch.setattr("mlp_scratch.machine.find_gpus", lambda: ([], "no driver"))
    monkeypatch.setattr(availability, "unavailability", lambda: pytest.fail("Numba's half for GPUs is loaded"))
    assert get_backend("auto").name == "numba"
    backends._has_gpu.cache_clear()
