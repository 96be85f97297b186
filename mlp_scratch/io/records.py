"""Frozen dataclasses to JSON objects and back: how a model file spells layers, losses and optimisers."""

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any, TypeVar

from mlp_scratch import checks
from mlp_scratch.errors import ArgumentError, ModelFileError
from mlp_scratch.initializers import Initializer
from mlp_scratch.io.own import MADE_OF_FUNCTIONS, Codes, family_of, is_own, note, table

T = TypeVar("T")

Record = dict[str, Any]

KEYS = ("kind", "custom")
"""What a record holds beside the fields."""


def encode(thing: Any, codes: Codes | None = None) -> Record:
    """`thing` as {"kind": ..., field: value, ...}; an initialiser inside it is encoded alike, a tuple is a list.

    What is of a user's own has "custom": true besides, and its code is added to `codes`; what is made of functions has
    no fields. A layer has a "trainable" only where it is frozen, so that without frozen layers files are what they
    were before there were any.

    Raises:
        ArgumentError: for what `decode` could not make again, or would take for something else.

    >>> from mlp_scratch.optimizers import SGD
    >>> encode(SGD(0.1))["lr"]
    0.1
    """
    codes, cls = {} if codes is None else codes, type(thing)
    own, argument = is_own(cls), family_of(cls).__name__.lower()
    if own:
        note(argument, thing, codes)
    record: Record = {"kind": thing.kind} | ({"custom": True} if own else {})
    if isinstance(thing, MADE_OF_FUNCTIONS):
        return record
    values = {field.name: getattr(thing, field.name) for field in fields(thing) if field.init}
    if own:
        _check_fields(argument, thing, values)
    for name, value in values.items():
        if name == "trainable" and value:
            continue
        record[name] = _plain(argument, f"{cls.__name__} with {name} = ", value, codes)
    return record


def decode(record: Record, family: type[T], codes: Codes | None = None) -> T:
    """The layer, loss, optimiser or initialiser that `encode` described, where `codes` holds what is a user's own.

    Raises:
        ModelFileError: where the record fits no kind.

    >>> from mlp_scratch.optimizers import SGD, Optimizer
    >>> decode(encode(SGD(0.1)), Optimizer) == SGD(0.1)
    True
    """
    codes, kinds = codes or {}, table(family)
    try:
        code = _given(record["kind"], family, codes) if record.get("custom") else kinds[record["kind"]]
        values = {name: _made(value, codes) for name, value in record.items() if name not in KEYS}
        made: T = code(**values) if isinstance(code, type) else code
    except (ArgumentError, AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ModelFileError(
            f"model file: got the record {str(record)[:80]}, expected one of {', '.join(kinds)} with its own "
            f"fields; was it written by a newer version? ({error})"
        ) from error
    return made


def _check_fields(argument: str, thing: Any, values: Mapping[str, Any]) -> None:
    """Raise unless the fields of `thing`, which is of a user's own, are all that there is to it."""
    cls = type(thing)
    try:
        again = vars(cls(**values)).items() <= vars(thing).items()
    except TypeError:
        again = False
    if not again or values.keys() & KEYS:
        raise ArgumentError(
            argument,
            given=f"{cls.__name__}, which can't be made again of its fields ({', '.join(values) or 'none'})",
            expected="a frozen dataclass, with a kind that is no field",
            mend="declare all that __init__ takes as fields",
        )


def _plain(argument: str, place: str, value: Any, codes: Codes) -> Any:
    """A field's value as JSON has it."""
    if isinstance(value, Initializer):
        return encode(value, codes)
    if isinstance(value, tuple):
        return [_plain(argument, place, item, codes) for item in value]
    if value is None or isinstance(value, int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    raise ArgumentError(
        argument,
        given=place + checks.describe(value),
        expected="what a model file can hold: finite numbers, text, True, False, None, initialisers and tuples of them",
    )


def _made(value: Any, codes: Codes) -> Any:
    """A field's value of what `_plain` made of it."""
    if isinstance(value, dict):
        return decode(value, Initializer, codes)
    return tuple(_made(item, codes) for item in value) if isinstance(value, list) else value


def _given(kind: str, family: type, codes: Codes) -> Any:
    if (family, kind) not in codes:
        known = sorted(name for of, name in codes if of is family)
        raise ModelFileError(
            f"model file: got the user's own {kind!r}, expected it among {known or 'those given, none'}; "
            "a file holds no code: give the class or the functions again, load(path, custom=[...])"
        )
    return codes[family, kind]
