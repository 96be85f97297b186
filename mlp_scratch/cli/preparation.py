"""What a model file keeps about its data, so that a prediction treats new samples as training did."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp_scratch.data import Dataset, Scaler
from mlp_scratch.errors import MlpScratchError, ModelFileError
from mlp_scratch.sequential import Sequential


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How features become inputs, and class indices names.

    Attributes:
        data: what the model was trained on, as `--data` named it.
        scaler: fitted on the training part; None leaves features as they are.
        feature_names, class_names: empty where there are none.
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

        Raises `ModelFileError` for metadata that are something else.
        """
        record = model.metadata
        try:
            names = tuple(record.get("class_names", ()))
            if len(names) not in (0, max(2, model.n_outputs)):
                raise ModelFileError(f"{len(names)} class names for {model.n_outputs} outputs")
            features = tuple(record.get("feature_names", ()))
            if len(features) not in (0, model.n_inputs) or not all(isinstance(name, str) for name in features):
                raise ModelFileError(f"{len(features)} feature names for {model.n_inputs} inputs")
            scaler = record.get("scaler")
            return cls(
                data=record.get("data"),
                scaler=None if scaler is None else Scaler.from_dict(scaler),
                feature_names=features,
                class_names=names,
                target=record.get("target"),
            )
        except (MlpScratchError, AttributeError, TypeError) as error:
            raise ModelFileError(
                f"metadata: got a record of the data that can't be used ({error}), expected one that "
                "'mlp-scratch train --out' wrote; train anew"
            ) from error

    def target_in(self, data: str) -> str | None:
        """The name of the target's column in a file of samples; None where such data have no columns with names."""
        return self.target if Path(data).suffix.lower() == ".csv" else None
