"""The profiles: what they set, and that one can be chosen from outside."""

import pytest
from hypothesis import settings

from mlp_scratch.testing.profiles import VARIABLE, load_profile


@pytest.fixture(autouse=True)
def _restored():
    name = settings.get_current_profile_name()
    yield
    settings.load_profile(name)


def test_quick_is_the_default_and_the_same_every_time(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert load_profile() == "quick"
    assert settings().derandomize


@pytest.mark.parametrize("name", ["fresh", "thorough"])
def test_fresh_seeds_keep_their_failures(name, monkeypatch):
    monkeypatch.setenv(VARIABLE, name)
    assert load_profile() == name
    assert not settings().derandomize
    assert settings().database is not None


def test_thorough_looks_harder():
    load_profile("quick")
    quick = settings().max_examples
    load_profile("thorough")
    assert settings().max_examples > 100 * quick
