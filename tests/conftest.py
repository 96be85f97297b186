"""Settings and fixtures that all tests share."""

import signal

import numpy as np
import pytest

from mlp_scratch.backends import BACKENDS, usable_backends
from mlp_scratch.testing.profiles import load_profile

load_profile()
# A shell starts its background jobs with Ctrl-C switched off; tests that press it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)


@pytest.fixture(params=usable_backends())
def each_backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test once on each backend: "auto" finds none that is faster."""
    names = list(BACKENDS)
    for faster in names[names.index(request.param) + 1 :]:
        monkeypatch.delitem(BACKENDS, faster)
    return str(request.param)
