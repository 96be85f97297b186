"""What `train` says: before it starts, at its end, and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import click

from mlp_scratch._types import Array
from mlp_scratch.callbacks import Callback, Run
from mlp_scratch.cli.choices import Choices, Options
from mlp_scratch.data import Dataset
from mlp_scratch.io.records import encode
from mlp_scratch.mlp import MLP
from mlp_scratch.optimizers import Optimizer

SHOWN_EPOCHS = 5
"""So many of the last epochs are printed; the JSON has them all."""

Scores = dict[str, dict[str, float]]
"""By part ("training", "test") and by name ("loss", "accuracy", ...)."""


@dataclass(frozen=True)
class Report(Callback):
    """The report of one run. As a callback it says what will be trained once `fit` has found nothing wrong."""

    options: Options
    choices: Choices
    dataset: Dataset
    model: MLP

    def on_fit_start(self, run: Run) -> None:
        data, model, choices = self.dataset, self.model, self.choices
        kind = "classes" if data.task == "classification" else "targets"
        kinds = self._between()
        layers = kinds["activation"] or "linear"
        layers += ", batch norm" if kinds["batch_norm"] else ""
        layers += f", dropout {kinds['dropout']:g}" if kinds["dropout"] else ""
        epochs = f"{choices.epochs} epoch{'s' if choices.epochs != 1 else ''}"
        precision = f", products in {self.options.precision}" if self.options.precision else ""
        click.echo(
            f"data      {data.name}: {len(data.X_train)} training and {len(data.X_test)} test samples, "
            f"{data.n_features} features, {data.n_outputs} {kind}\n"
            f"model     {'-'.join(map(str, self._widths()))}, {layers}, {model.n_parameters} parameters, "
            f"{model.dtype}, seed {self.options.seed}\n"
            f"training  {choices.loss.kind}, {_summary(choices.optimizer)}, batch {self._batch_size()}, "
            f"{epochs}, backend {self.options.backend_name}{precision}"
        )

    def show(self, scores: Scores) -> None:
        """Print the last epochs and the scores."""
        history = self.model.history
        header, *epochs = history.table().splitlines()
        left_out = ["  ..."] if len(epochs) > SHOWN_EPOCHS else []
        click.echo("\n".join(["", header, *left_out, *epochs[-SHOWN_EPOCHS:]]))
        if history.stopped:
            click.echo(f"stopped: {history.stopped}")
        names = list(scores["test"])
        click.echo("\n" + " " * 8 + "".join(f"{name:>12}" for name in names))
        for part, row in scores.items():
            click.echo(f"{part:<8}" + "".join(f"{row[name]:>12.6f}" for name in names))

    def record(self, scores: Scores) -> dict[str, Any]:
        """All that was said, in JSON's types and full precision; no scores where the training was cut short."""
        data, options, choices = self.dataset, self.options, self.choices
        return {
            "data": {
                "name": data.name,
                "task": data.task,
                "training_samples": len(data.X_train),
                "test_samples": len(data.X_test),
                "features": data.n_features,
                "class_names": list(data.class_names),
                "source": data.source,
            },
            "model": {
                "widths": self._widths(),
                **self._between(),
                "parameters": self.model.n_parameters,
                "dtype": str(self.model.dtype),
                "seed": options.seed,
            },
            "training": {
                "loss": encode(choices.loss),
                "optimizer": encode(choices.optimizer),
                "batch_size": self._batch_size(),
                "epochs": choices.epochs,
                "validation": options.validation,
                "backend": options.backend_name,
                "threads": options.threads,
                "precision": options.precision or str(self.model.dtype),
            },
            "history": json.loads(self.model.history.to_json()),
            "scores": scores,
        }

    def _between(self) -> dict[str, Any]:
        """What comes behind each hidden layer: nothing where there is none, whatever was asked for."""
        if not self.choices.hidden:
            return {"activation": None, "dropout": 0.0, "batch_norm": False}
        return {name: getattr(self.options, name) for name in ("activation", "dropout", "batch_norm")}

    def _batch_size(self) -> int:
        """Samples a step: at most those that are trained on."""
        n = len(self.dataset.X_train)
        return min(self.choices.batch_size, n - round((self.options.validation or 0.0) * n))

    def _widths(self) -> list[int]:
        return [self.model.n_inputs, *self.choices.hidden, self.model.n_outputs]


def score(model: MLP, parts: Mapping[str, tuple[Array, Array]], *, backend: str, threads: int | None = None) -> Scores:
    """Loss and accuracy of each part; for a regression the mean absolute and squared errors, whatever the loss."""
    scores = {}
    for part, (X, y) in parts.items():
        evaluate = partial(model.evaluate, X, y, backend=backend, threads=threads)
        row = evaluate()
        if "accuracy" not in row:
            row |= {name: evaluate(loss=name)["loss"] for name in ("mae", "mse")}
        scores[part] = row
    return scores


def _summary(optimizer: Optimizer) -> str:
    """The optimiser's kind, its learning rate, and whatever is not as usual.

    >>> from mlp_scratch.optimizers import SGD
    >>> _summary(SGD(0.1, momentum=0.9))
    'sgd lr 0.1 momentum 0.9'
    """
    shown = [
        f"{field.name} {getattr(optimizer, field.name)}"
        for field in fields(optimizer)
        if field.name == "lr" or getattr(optimizer, field.name) != field.default
    ]
    return " ".join([optimizer.kind, *shown])
