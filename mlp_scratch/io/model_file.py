"""What a model file holds: architecture, weights, optimiser state and the random generator's position.

A layer's record in the header is its kind and its fields. That of a frozen layer has "trainable": false; where this is
missing, the layer learns.
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
from mlp_scratch.io.records import decode, encode
from mlp_scratch.layers import LAYERS, Layer
from mlp_scratch.losses import LOSSES, Loss
from mlp_scratch.model import Model
from mlp_scratch.optimizers import KINDS
from mlp_scratch.training import Training

SLOT_PREFIX = "optimizer."
"""Optimiser slots are stored whole, as "optimizer.m"; everything else under its PyTorch name."""

COUNTS = ("seed", "step", "epoch", "position", "n_samples", "batch_size")
SWITCHES = ("flat_targets", "shuffle")
"""The fields of `Training` that are written as they are: whole numbers, and truth values."""


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
        ArgumentError: for metadata that JSON can't hold, for a folder, and for a file in a folder that is not there.
        OSError: for a folder that can't be written, and for a full disk.
    """
    _check_metadata(metadata)
    header: dict[str, Any] = {
        "dtype": model.dtype.name,
        "seed": model.seed,
        "layers": [encode(layer) for layer in model.layers],
        "metadata": dict(metadata),
        "training": None,
    }
    arrays = {**model.parameters, **model.buffers}
    if training is not None:
        header["training"] = {
            "loss": encode(training.loss),
            "optimizer": encode(training.optimizer),
            **{name: getattr(training, name) for name in (*COUNTS, *SWITCHES)},
        }
        arrays |= {SLOT_PREFIX + name: row for name, row in zip(training.optimizer.slots, training.slots, strict=True)}
    write(path, arrays, header)


def _check_metadata(metadata: object) -> None:
    expected = "a dict of what JSON can hold: text, finite numbers, lists, dicts"
    if not isinstance(metadata, Mapping):
        raise ArgumentTypeError("metadata", given=checks.describe(metadata), expected=expected)
    try:
        json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        given = f"{checks.describe(metadata)}: {error}"
        raise ArgumentError("metadata", given=given, expected=expected) from error


def read_model(path: str | PathLike[str], custom: Sequence[Layer | Loss] = ()) -> Contents:
    """What `write_model` left at `path`; `custom` are the activations and losses in it that are made of functions.

    Raises:
        FileNotFoundError: where there is no such file.
        ModelFileError: for a truncated, corrupt or foreign file.
    """
    arrays, header = read(path)
    try:
        own_layers = {thing.kind: thing for thing in custom if isinstance(thing, Layer)}
        layers = tuple(decode(record, LAYERS, own_layers) for record in header["layers"])
        # The model itself says which arrays belong to it, and of what shape.
        model = Model(layers, dtype=header["dtype"], seed=header["seed"])
        for views in (model.parameters, model.buffers):
            for name in views:
                views[name] = _fitting(arrays, name, views[name])
        own_losses = {thing.kind: thing for thing in custom if isinstance(thing, Loss)}
        record = header["training"]
        training = None if record is None else _read_training(record, arrays, model, own_losses)
        metadata = header["metadata"]
        _check_metadata(metadata)
    except (ArgumentError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{path}: got a header and arrays that do not belong together ({error}), expected those of one model; "
            "was it written by a newer version?"
        ) from error
    return Contents(layers, header["dtype"], header["seed"], model.flat, model.buffer_vector, training, metadata)


def _read_training(
    record: dict[str, Any], arrays: Mapping[str, Array], model: Model, own_losses: Mapping[str, Loss]
) -> Training:
    fields = dict(record)
    loss = decode(fields.pop("loss"), {kind: type(row) for kind, row in LOSSES.items()}, own_losses)
    optimizer = decode(fields.pop("optimizer"), KINDS)
    slots = np.empty((len(optimizer.slots), model.n_parameters), model.dtype)
    for row, name in zip(slots, optimizer.slots, strict=True):
        row[...] = _fitting(arrays, SLOT_PREFIX + name, row)
    for count in COUNTS:
        checks.integer(count, fields[count], at_least=0)
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
