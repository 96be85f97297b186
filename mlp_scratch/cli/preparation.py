"""What a model file keeps about its data, so that a prediction treats new samples as training did."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from mlp_scratch import checks
from mlp_scratch.data import Dataset, Scaler
from mlp_scratch.errors import ArgumentError, ModelFileError
from mlp_scratch.sequential import Sequential


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How features become inputs, and class indices names.

    Attributes:
        data: what the model was trained on, as `--data` named it.
        scaler: fitted on the training part; None leaves features as they are.
        feature_names, class_names: empty where there are none; so are class names where the model is of quantities.
        target: the name of the target's column, if one was given.
    """

    data: str | None = None
    scaler: Scaler | None = None
    feature_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    target: str | None = None

    @classmethod
    def of(cls, source: str, dataset: Dataset, target: str | None) -> "Preparation":
        """What `train` knows about `dataset`."""
        return cls(
            data=source,
            scaler=dataset.scaling,
            feature_names=dataset.feature_names,
            class_names=dataset.class_names,
            target=target,
        )

    def to_metadata(self) -> dict[str, Any]:
        """The record as JSON types, for `model.metadata`."""
        return {
            "data": self.data,
            "scaler": None if self.scaler is None else self.scaler.to_dict(),
            "feature_names": list(self.feature_names),
            "class_names": list(self.class_names),
            "target": self.target,
        }

    @classmethod
    def of_model(cls, model: Sequential) -> "Preparation":
        """What a model's metadata say; one that was saved without such a record has its features left as they are.

        Raises `ModelFileError` for a scaler or names that are something else: metadata may be anything of the user's.
        """
        record = model.metadata
        classes = max(2, model.n_outputs)
        return cls(
            data=_text(record, "data"),
            scaler=_scaler(record, model.n_inputs),
            feature_names=_names(record, "feature_names", model.n_inputs, str),
            class_names=_names(record, "class_names", classes, str | int | float) if model.task.classifies else (),
            target=_text(record, "target"),
        )

    def target_in(self, data: str) -> str | None:
        """The name of the target's column in a file of samples; None where such data have no columns with names."""
        return self.target if Path(data).suffix.lower() == ".csv" else None


def _text(record: Mapping[str, Any], key: str) -> str | None:
    """The text under `key`; anything else names neither data nor a column."""
    value = record.get(key)
    return value if isinstance(value, str) else None


def _scaler(record: Mapping[str, Any], n_inputs: int) -> Scaler | None:
    value = record.get("scaler")
    if value is None:
        return None
    expected = f"what Scaler.to_dict() gives, for {n_inputs} features"
    try:
        scaler = Scaler.from_dict(value)
    except ArgumentError as error:
        raise _unusable("scaler", checks.describe(value), expected) from error
    if scaler.shift.shape not in ((), (n_inputs,)):
        raise _unusable("scaler", f"one of {scaler.shift.size} features", expected)
    return scaler


def _names(record: Mapping[str, Any], key: str, count: int, kind: type | UnionType) -> tuple[str, ...]:
    """The text of the `count` names under `key`, which are of `kind`; none where there are none."""
    value = record.get(key)
    if value is None or value == []:
        return ()
    expected = f"a list of {count} names"
    if not isinstance(value, list) or not all(isinstance(name, kind) for name in value):
        raise _unusable(key, checks.describe(value), expected)
    if len(value) != count:
        raise _unusable(key, f"{len(value)} names", expected)
    return tuple(map(str, value))


def _unusable(key: str, given: str, expected: str) -> ModelFileError:
    return ModelFileError(
        f"metadata[{key!r}]: got {given}, expected {expected}, which is what 'mlp-scratch train' keeps under this key; "
        "load the model in Python, mend this in model.metadata or give it another key, and save the model again"
    )
