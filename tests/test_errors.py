"""The error types: caught as builtins too, and whole after the way between two processes."""

import pickle

import pytest

from mlp_scratch.errors import (
    ArgumentError,
    ArgumentTypeError,
    DivergedError,
    MlpScratchError,
    UnknownNameError,
    unknown_name,
)  # fmt: skip


def test_the_mistake_is_found_by_whoever_catches_builtins():
    for kind, builtin in ((ArgumentError, ValueError), (ArgumentTypeError, TypeError), (UnknownNameError, KeyError)):
        assert issubclass(kind, builtin)
        assert issubclass(kind, MlpScratchError)


@pytest.mark.parametrize(
    "error",
    [
        ArgumentError("lr", given=0, expected="more", mend="try 1"),
        ArgumentTypeError("lr", given="x", expected="a number"),
        unknown_name("loss", "msee", ["mse"]),
        DivergedError(3, "layer 0 (dense)", "output"),
    ],
)
def test_errors_survive_the_way_between_processes(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_name_far_from_all_others_is_offered_none():
    assert str(unknown_name("loss", "zzz", ["mse", "mae"])) == "loss: got 'zzz', expected one of mae, mse"
