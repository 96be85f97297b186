"""Settings and fixtures that all tests share."""

import numpy as np
import pytest
from hypothesis import settings

# No deadline: no test may depend on how fast the machine is. Derandomised: the same examples in every run.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("default")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20240229)
