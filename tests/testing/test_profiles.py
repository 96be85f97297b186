"""The profiles: what they set, and that one can be chosen from outside."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.failure import PropertyError
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


def test_a_failure_is_shrunk_and_then_reported_at_once():
    """Hypothesis could try hundreds of examples more, to say which parts of the smallest one don't matter."""
    load_profile("quick")
    seen = []

    def fails_from_10_on(drawn):
        seen.append(drawn)
        assert drawn[0] < 10

    with pytest.raises(AssertionError):
        at_each(st.tuples(*[st.integers()] * 4), fails_from_10_on, ["sorted"])
    smallest = (10, 0, 0, 0)
    assert seen[-1] == smallest
    assert len(seen) - seen.index(smallest) < 50


def test_the_first_property_that_any_value_violates_is_reported():
    """Shrinking ends at the smallest value, which may violate a later one only, and tell less of the mistake."""

    def check(drawn):
        raise PropertyError("derivative" if drawn > 100 else "hessian_symmetry", "", {"at": drawn}, "")

    with pytest.raises(PropertyError) as caught:
        at_each(st.integers(0, 1000), check, ["shapes", "derivative", "hessian_symmetry"])
    assert (caught.value.property, caught.value.facts["at"]) == ("derivative", 101)
