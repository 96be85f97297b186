"""The register tile that a test of kernels runs with."""

import pytest

from tests.kernels.tiles import UNITS, a_tile


@pytest.fixture(scope="module", params=[(unit, dtype) for unit in UNITS for dtype in ("float32", "float64")])
def tile(request):
    """Of each vector unit and number type."""
    return a_tile(*request.param)
