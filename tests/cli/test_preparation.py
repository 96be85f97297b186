"""What a model's metadata say to the commands: as `train` wrote them, or as somebody else did."""

import pytest

import mlp_scratch as ms
from tests.cli.conftest import table


def odd(metadata):
    """Save a model with these metadata, and give its file's name."""
    model = ms.MLP([2, 3, 2], seed=1)
    model.metadata = metadata
    model.save("odd")
    return "odd"


@pytest.mark.parametrize(
    ("key", "value", "given"),
    [
        ("scaler", "standard", "'standard' (str)"),
        ("scaler", {"shift": None, "scale": 1.0}, "{'shift': None, 'scale': 1.0} (dict)"),
        ("scaler", {"shift": [0.0] * 3, "scale": [1.0] * 3}, "one of 3 features"),
        ("class_names", ["one"], "1 names"),
        ("class_names", 7, "7 (int)"),
        ("class_names", "ab", "'ab' (str)"),
        ("class_names", [["one"], "two"], "[['one'], 'two'] (list)"),
        ("feature_names", ["one"], "1 names"),
        ("feature_names", [1, 2], "[1, 2] (list)"),
        ("feature_names", "ab", "'ab' (str)"),
    ],
)
def test_metadata_of_another_kind(run, animals, key, value, given):
    result = run("predict", odd({key: value}), "--data", animals)
    result.refused(f"metadata['{key}']: got {given}, expected ", "in model.metadata or give it another key")


@pytest.mark.parametrize("metadata", [{"target": 5, "data": [1]}, {"scaler": None, "class_names": None}, {"a": "b"}])
def test_metadata_that_say_nothing(run, animals, metadata):
    assert run("predict", odd(metadata), "--data", animals).out == run("predict", odd({}), "--data", animals).out


def test_class_names_that_are_numbers(run, animals):
    classes = [int(row[0]) for row in table(run("predict", odd({}), "--data", animals).out)[1:]]
    rows = table(run("predict", odd({"class_names": [10, 2.5]}), "--data", animals).out)[1:]
    assert [row[0] for row in rows] == [["10", "2.5"][c] for c in classes]
