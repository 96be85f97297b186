"""Every backend held to the specification; the specification held to its own contract."""

import pytest

from mlp_scratch.backends import usable_backends
from mlp_scratch.testing import check_backend, strategies


@pytest.mark.parametrize("backend", usable_backends())
def test_every_backend_has_every_property(backend):
    check_backend(backend)


@pytest.mark.parametrize("backend", usable_backends())
def test_widths_across_tile_edges(backend):
    check_backend(backend, strategies.problems(max_depth=6, max_width=70), only=["same_gradient", "same_training"])
