"""What a model file holds: architecture, weights, optimiser state and the random generator's position.

A layer's record in the header is its kind and its fields. That of a frozen layer has "trainable": false; where this is
missing, the layer learns. That of a user's own layer has "custom": true.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, ModelFileError
from mlp_scratch.io.checkpoint import read, write
from mlp_scratch.io.own import Codes, given_again
from mlp_scratch.io.records import decode, encode
from mlp_scratch.layers import Layer
from mlp_scratch.losses import Loss
from mlp_scratch.model import Model
from mlp_scratch.optimizers import Optimizer
from mlp_scratch.training import Training

SLOT_PREFIX = "optimizer."
"""Optimiser slots are stored whole, as "optimizer.m"; everything else under its PyTorch name."""

COUNTS = ("step", "epoch", "position", "n_samples", "batch_size")
SWITCHES = ("flat_targets", "shuffle")
"""The fields of `Training` that are written as they are, like the seed: whole numbers, and truth values."""

MAX_COUNT = 1 << 62
"""No training counts so far, and a compiled backend's numbers of 64 bits go twice as far."""

MAX_DEPTH = 100
"""Lists and dicts in one another, in metadata: Python's JSON ends with an error at some depth of its own."""


@dataclass(frozen=True)
class Contents:
    """A model file, read: what a model is built from."""

    layers: tuple[Layer, ...]
    dtype: str
    seed: int
    flat: Array
    buffers: Array
    training: Training | None
    metadata: dict[str, Any]


def write_model(
    path: str | PathLike[str], model: Model, training: Training | None, metadata: Mapping[str, Any]
) -> None:
    """Write `model` to `path`, atomically. The random generator is counter-based: its position is the step count.

    Raises:
        ArgumentError: for metadata that JSON can't hold, for layers, losses and optimisers that a file can't name, for
            a folder, and for a file in a folder that is not there.
        OSError: for a folder that can't be written, and for a full disk.
    """
    write(path, *_parts(model, training, metadata))


def check_savable(model: Model, training: Training, metadata: Mapping[str, Any]) -> None:
    """Raise the ArgumentError, but for that of a path, with which `write_model` would refuse the same."""
    _parts(model, training, metadata)


def _parts(
    model: Model, training: Training | None, metadata: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the header of a file."""
    _check_metadata(metadata)
    codes: Codes = {}
    header: dict[str, Any] = {
        "dtype": model.dtype.name,
        "seed": model.seed,
        "layers": [encode(layer, codes) for layer in model.layers],
        "metadata": dict(metadata),
        "training": None,
    }
    arrays: dict[str, Array] = {**model.parameters, **model.buffers}
    if training is not None:
        header["training"] = {
            "loss": encode(training.loss, codes),
            "optimizer": encode(training.optimizer, codes),
            **{name: getattr(training, name) for name in ("seed", *COUNTS, *SWITCHES)},
        }
        arrays |= {SLOT_PREFIX + name: row for name, row in zip(training.optimizer.slots, training.slots, strict=True)}
    return arrays, header


def _check_metadata(metadata: object) -> None:
    expected = "a dict of what JSON can hold: text, finite numbers, lists, dicts"
    if not isinstance(metadata, Mapping):
        raise ArgumentTypeError("metadata", given=checks.describe(metadata), expected=expected)
    _check_keys_and_depth(metadata)
    try:
        json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        given = f"{checks.describe(metadata)}: {error}"
        raise ArgumentError("metadata", given=given, expected=expected) from error


def _check_keys_and_depth(value: object, depth: int = 1) -> None:
    """Raise for keys that JSON would turn into text, and before anything has to follow too many levels."""
    if depth > MAX_DEPTH:
        given = f"lists and dicts in one another, {depth} levels"
        raise ArgumentError("metadata", given=given, expected=f"at most {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArgumentTypeError(
                    "metadata",
                    given=f"the key {checks.describe(key)}",
                    expected="keys that are text, all that JSON has",
                    mend="use str(key)",
                )
    for item in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        if isinstance(item, Mapping | list | tuple):
            _check_keys_and_depth(item, depth + 1)


def read_model(path: str | PathLike[str], custom: Sequence[object] = ()) -> Contents:
    """What `write_model` left at `path`; `custom` is what of it is a user's own, objects or classes.

    Raises:
        ArgumentError: where `custom` holds anything else, or two of one name.
        OSError: as the operating system says, where there is no such file or it may not be read.
        ModelFileError: for a truncated, corrupt or foreign file.
    """
    codes = given_again(custom)
    arrays, header = read(path)
    try:
        layers = tuple(decode(record, Layer, codes) for record in header["layers"])
        # The model itself says which arrays belong to it, and of what shape.
        model = Model(layers, dtype=header["dtype"], seed=header["seed"])
        for views in (model.parameters, model.buffers):
            for name in views:
                views[name] = _fitting(arrays, name, views[name])
        record = header["training"]
        training = None if record is None else _read_training(record, arrays, model, codes)
        metadata = header["metadata"]
        _check_metadata(metadata)
    except (ArgumentError, KeyError, RecursionError, TypeError) as error:
        raise ModelFileError(
            f"{path}: got a header and arrays that do not belong together ({error}), expected those of one model; "
            "was it written by a newer version?"
        ) from error
    return Contents(layers, header["dtype"], header["seed"], model.flat, model.buffer_vector, training, metadata)


def _read_training(record: object, arrays: Mapping[str, Array], model: Model, codes: Codes) -> Training:
    if not isinstance(record, dict):
        raise ArgumentTypeError("training", given=checks.describe(record), expected="a record")
    fields = dict(record)
    loss = decode(fields.pop("loss"), Loss, codes)
    optimizer = decode(fields.pop("optimizer"), Optimizer, codes)
    slots = np.empty((len(optimizer.slots), model.n_parameters), model.dtype)
    for row, name in zip(slots, optimizer.slots, strict=True):
        row[...] = _fitting(arrays, SLOT_PREFIX + name, row)
    checks.integer("seed", fields["seed"], at_least=0)
    for count in COUNTS:
        if checks.integer(count, fields[count], at_least=0) > MAX_COUNT:
            raise ArgumentError(count, given=fields[count], expected=f"at most {MAX_COUNT}")
    for switch in fields.keys() & SWITCHES:
        checks.boolean(switch, fields[switch])
    training = Training(loss, optimizer, slots, **fields)
    if training.position and not (training.batch_size and training.position < training.steps_an_epoch):
        raise ArgumentError("position", given=training.position, expected="one inside the epoch")
    return training


def _fitting(arrays: Mapping[str, Array], name: str, place: Array) -> Array:
    """The array of that name, if it has the shape and dtype of where it goes."""
    array = arrays[name]
    if (array.shape, array.dtype) != (place.shape, place.dtype):
        given, expected = checks.describe(array), checks.describe(place)
        raise ArgumentError(name, given=given, expected=expected)
    return array
