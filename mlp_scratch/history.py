"""What a fit reports: every step, every epoch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from mlp_scratch.errors import MissingDependencyError
from mlp_scratch.files import replacing
from mlp_scratch.standard_json import standard

FIGURES = {"loss": ".5f", "accuracy": ".4f", "val_loss": ".5f", "val_accuracy": ".4f"}
"""What an epoch says about how good the model was, and in how many digits it is shown."""


@dataclass(frozen=True)
class Epoch:
    """One epoch. Training figures are means over its samples as they were met, validation figures its end's.

    With sample weights losses are means by them, accuracies plain means: as `evaluate` has them.

    None stands where there is nothing to report: accuracy of a regression, validation without a validation set.
    """

    epoch: int
    """Counted from 1 over all fits that continue one another."""
    loss: float
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    """Spent training, validation left out."""
    samples_per_second: float


@dataclass(repr=False)
class History:
    """The record of one fit.

    >>> History(np.array([0.75, 0.5]), np.array([0.5, 0.875]), [Epoch(1, 0.625, 0.6875, None, None, 2.0, 1e4)])
    <History of 2 steps, 1 whole epoch: loss 0.62500, accuracy 0.6875>

    Attributes:
        losses: the loss of each step's batch before its update, float64 (steps,).
        accuracies: the accuracy of each step's batch, float64 (steps,); NaN for a regression.
        epochs: one `Epoch` each.
        stopped: why the fit ended before its last epoch; empty if it did not.
    """

    losses: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    accuracies: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    epochs: list[Epoch] = field(default_factory=list)
    stopped: str = ""

    def __repr__(self) -> str:
        count = len(self.epochs)
        text = f"<History of {len(self.losses)} steps, {count} whole epoch{'s' if count != 1 else ''}"
        if self.epochs:
            last = {name: value for name, value in asdict(self.epochs[-1]).items() if name in FIGURES}
            shown = (f"{name} {value:{FIGURES[name]}}" for name, value in last.items() if value is not None)
            text += f": {', '.join(shown)}"
        return text + (f"; stopped: {self.stopped}>" if self.stopped else ">")

    def add_steps(self, losses: npt.NDArray[np.float64], accuracies: npt.NDArray[np.float64]) -> None:
        """Append the records of some steps."""
        self.losses = np.concatenate([self.losses, losses])
        self.accuracies = np.concatenate([self.accuracies, accuracies])

    def column(self, name: str) -> list[Any]:
        """One figure over the epochs, such as `history.column("val_loss")`."""
        return [getattr(epoch, name) for epoch in self.epochs]

    def table(self) -> str:
        """The epochs as text, a line each.

        >>> print(History(epochs=[Epoch(1, 0.5, 0.875, None, None, 2.0, 1e4)]).table())
        epoch     loss  accuracy  val_loss  val_accuracy  seconds  samples/s
            1  0.50000    0.8750         -             -     2.00      10000
        """
        header = ["epoch", *FIGURES, "seconds", "samples/s"]
        formats = ["d", *FIGURES.values(), ".2f", ".0f"]
        rows: list[Sequence[str]] = [header]
        for epoch in self.epochs:
            values = [getattr(epoch, field.name) for field in fields(epoch)]
            rows.append(["-" if v is None else format(v, f) for v, f in zip(values, formats, strict=True)])
        widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
        return "\n".join("  ".join(x.rjust(w) for x, w in zip(row, widths, strict=True)) for row in rows)

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """The whole record as JSON in full precision, also written to `path` if given.

        Infinities and NaN, which JSON does not have, become the texts "Infinity" and "NaN".

        Raises:
            ArgumentError: for a path that is a folder or a device, or in a folder that does not exist.
            OSError: for a folder that cannot be written, and for a full disk; a file that is there stays as it is.

        >>> History().to_json()
        '{"epochs": [], "steps": {"loss": [], "accuracy": []}, "stopped": ""}'
        """
        record = {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "steps": {
                "loss": self.losses.tolist(),
                "accuracy": [None if np.isnan(a) else a for a in self.accuracies.tolist()],
            },
            "stopped": self.stopped,
        }
        text = json.dumps(standard(record), allow_nan=False)
        if path is not None:
            with replacing(path) as file:
                file.write(f"{text}\n".encode())
        return text

    def plot(self, path: str | PathLike[str]) -> None:
        """Draw loss and accuracy over the epochs to an image file, of the type that its name says.

        Raises:
            MissingDependencyError: without matplotlib.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingDependencyError(
                "plot: got no matplotlib, expected it installed; pip install 'mlp-scratch[studies]'"
            ) from error
        with_accuracy = bool(self.epochs) and self.epochs[0].accuracy is not None
        figure = Figure(figsize=(10 if with_accuracy else 5, 4), layout="constrained")
        panels = figure.subplots(1, 2 if with_accuracy else 1, squeeze=False)[0]
        for panel, name in zip(panels, ["loss", "accuracy"], strict=False):
            for column, label in ((name, "training"), (f"val_{name}", "validation")):
                values = self.column(column)
                if values and values[0] is not None:
                    panel.plot(self.column("epoch"), values, marker=".", label=label)
            panel.set_xlabel("epoch")
            panel.set_ylabel(name)
            panel.grid(alpha=0.3)
            if panel.lines:
                panel.legend()
        figure.savefig(path)
