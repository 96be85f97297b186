"""The examples in the harness's docstrings; its contenders import frameworks that need not be here, and have none."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["cases", "cli", "floor", "report", "samples", "work"])
def test_examples(name):
    failed, attempted = doctest.testmod(
        import_module(f"mlp_benchmarks.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert attempted > 0
    assert failed == 0
