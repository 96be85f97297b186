"""Whole networks of any layers, losses and weights: derivatives, symmetries, and three other differentiators."""

from importlib.util import find_spec

import pytest
from hypothesis import given, settings

from mlp_scratch.backends import usable_backends
from mlp_scratch.testing import check_model, strategies


@pytest.mark.parametrize("backend", usable_backends())
def test_every_network_has_every_property(backend):
    check_model(strategies.problems(max_width=9), backend=backend, skip=["agreement"])


@pytest.mark.skipif(find_spec("torch") is None and find_spec("jax") is None, reason="no framework to agree with")
@settings(max_examples=max(settings().max_examples // 4, 5))  # each operation of each framework is called singly
@given(strategies.problems(max_depth=2, max_width=4, max_samples=3, random_layers=False))
def test_gradients_agree_with_those_of_frameworks(problem):
    check_model(problem, only=["agreement"])
