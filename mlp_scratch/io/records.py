"""Frozen dataclasses to JSON objects and back: how a model file spells layers, losses and optimisers."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from mlp_scratch.errors import ArgumentError, ModelFileError
from mlp_scratch.initializers import KINDS as INITIALIZER_KINDS
from mlp_scratch.initializers import Initializer
from mlp_scratch.layers import ScalarActivation
from mlp_scratch.losses import ScalarLoss

T = TypeVar("T")

Record = dict[str, Any]


def encode(thing: Any) -> Record:
    """`thing` as {"kind": ..., field: value, ...}; an initialiser inside it is encoded alike.

    What a user made of functions is encoded by its name: {"kind": ..., "custom": true}. A layer has a "trainable"
    only where it is frozen, so that without frozen layers files are what they were before there were any.

    >>> from mlp_scratch.optimizers import SGD
    >>> encode(SGD(0.1))["lr"]
    0.1
    """
    record: Record = {"kind": thing.kind}
    if isinstance(thing, ScalarActivation | ScalarLoss):
        return record | {"custom": True}
    for field in fields(thing):
        value = getattr(thing, field.name)
        if field.name == "trainable" and value:
            continue
        record[field.name] = encode(value) if isinstance(value, Initializer) else value
    return record


def decode(record: Record, kinds: Mapping[str, Callable[..., T]], custom: Mapping[str, T] | None = None) -> T:
    """The object that `encode` described; raises `ModelFileError` where the record fits no kind.

    `custom` are the things made of functions, by name, which the caller must have.

    >>> from mlp_scratch.optimizers import KINDS, SGD
    >>> decode(encode(SGD(0.1)), KINDS) == SGD(0.1)
    True
    """
    try:
        if record.get("custom"):
            return _given(record["kind"], custom or {})
        values = {
            name: decode(value, INITIALIZER_KINDS) if isinstance(value, dict) else value
            for name, value in record.items()
            if name != "kind"
        }
        return kinds[record["kind"]](**values)
    except (ArgumentError, AttributeError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"model file: got the record {str(record)[:80]}, expected one of {', '.join(kinds)} with its own "
            f"fields; was it written by a newer version? ({error})"
        ) from error


def _given(name: str, custom: Mapping[str, T]) -> T:
    if name not in custom:
        raise ModelFileError(
            f"model file: got the user's own {name!r}, expected it among {sorted(custom) or 'those given, none'}; "
            "a file holds no functions: give it again, load(path, custom=[...])"
        )
    return custom[name]
