"""The register tile that a test of kernels runs with."""

import pytest

from tests.kernels.tiles import UNITS, a_tile

# Where one number type has all that is new in a unit's tile: rows that are a whole panel, tall ones of twelve.
ONE_DTYPE = {"NEON": "float64", "AVX-512, issue-bound": "float32"}


@pytest.fixture(
    scope="module",
    params=[(unit, dtype) for unit in UNITS for dtype in ("float32", "float64") if ONE_DTYPE.get(unit, dtype) == dtype],
)
def tile(request):
    """Of each vector unit and number type."""
    return a_tile(*request.param)
