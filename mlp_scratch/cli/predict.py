"""`mlp-scratch predict`: what a saved model says about new samples."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TextIO

import click
import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.cli.options import backend_option, json_option
from mlp_scratch.cli.outputs import check_outputs, write_json
from mlp_scratch.cli.preparation import Preparation
from mlp_scratch.data import read_features
from mlp_scratch.data.csv_files import last_column_left_out
from mlp_scratch.errors import ArgumentError, unknown_name
from mlp_scratch.files import replacing
from mlp_scratch.losses import BinaryCrossEntropy
from mlp_scratch.sequential import Sequential, load


@dataclass(frozen=True)
class Predictions:
    """Predictions (N,) or (N, K), names of classes or labels, if any, and probabilities (N, C) if asked for."""

    values: Array
    probabilities: Array | None
    class_names: tuple[str, ...]

    def rows(self) -> Iterator[list[str]]:
        """A header and a line a sample, numbers in as many digits as they need."""
        columns = self.values.reshape(len(self.values), -1)
        several = columns.shape[1] > 1
        header = [f"prediction_{i}" for i in range(columns.shape[1])] if several else ["prediction"]
        if self.probabilities is not None:
            header += [f"probability_{self._name(i)}" for i in range(self.probabilities.shape[1])]
            columns = np.concatenate([columns.astype(str), self.probabilities.astype(str)], axis=1)
        yield header
        yield from columns.astype(str).tolist()

    def _name(self, column: int) -> str:
        return self.class_names[column] if self.class_names else str(column)

    def write_csv(self, file: TextIO) -> None:
        """Write `rows`, quoted where need be."""
        csv.writer(file, lineterminator="\n").writerows(self.rows())

    def write(self, path: str) -> None:
        """Write a .csv file, or a .npz file with the arrays predictions, probabilities and class_names."""
        if Path(path).suffix.lower() == ".csv":
            text = StringIO()
            self.write_csv(text)
            with replacing(path) as file:
                file.write(text.getvalue().encode())
            return
        arrays = {"predictions": self.values, "class_names": np.array(self.class_names, dtype=str)}
        if self.probabilities is not None:
            arrays["probabilities"] = self.probabilities
        with replacing(path) as archive:  # given a path, NumPy would change the name FILE.NPZ to FILE.NPZ.npz
            np.savez(archive, allow_pickle=False, **arrays)


@click.command("predict", short_help="Predict with a saved model.")
@click.argument("model")
@click.option("--data", required=True, metavar="FILE", help="A .csv or .npz file of features, with targets or without.")
@click.option("--target", metavar="COLUMN", help="Target column to leave out.  [default: as trained, or the last]")
@click.option("--proba", is_flag=True, help="Give the probability of each class too.")
@backend_option
@click.option("--out", metavar="FILE", help="Write to a .csv or .npz file instead of standard output.")
@json_option
def predict_command(
    model: str, data: str, target: str | None, proba: bool, backend: str, out: str | None, json: str | None
) -> None:
    """Predict with a MODEL that `train --out` saved.

    Columns of a CSV file with a header are found by the names that they had in the training, whatever their order.
    Features are scaled as they were for the training, and classes get their names back.
    """
    if out and Path(out).suffix.lower() not in (".csv", ".npz"):
        raise unknown_name("out", Path(out).suffix, [".csv", ".npz"])
    check_outputs({"out": out, "json": json}, inputs=[model, data])
    network = load(model)
    if proba and network.task.probabilities(np.zeros((1, network.n_outputs))) is None:
        given = f"a model of quantities, trained with {network.task.kind}"
        raise ArgumentError("proba", given=given, expected="one of classes or labels", mend="leave it out")
    predictions = _predict(network, data, target, proba, backend)
    if out:
        predictions.write(out)
    else:
        _check_printable(predictions.class_names)
    if json:
        write_json(json, _record(predictions, model, data))
    if out:
        click.echo(f"{len(predictions.values)} predictions written to {out}")
    else:
        predictions.write_csv(sys.stdout)


def _check_printable(names: tuple[str, ...]) -> None:
    """Raise for a name of a class that standard output would have to change."""
    encoding = sys.stdout.encoding or "utf-8"
    for name in names:
        try:
            name.encode(encoding)
        except UnicodeEncodeError as error:
            given = f"the class {name!r}, for which {encoding} has no letters"
            expected = "classes that standard output can show"
            raise ArgumentError(
                "model", given=given, expected=expected, mend="use --out FILE, or set PYTHONIOENCODING=utf-8"
            ) from error


def _predict(network: Sequential, data: str, target: str | None, proba: bool, backend: str) -> Predictions:
    known = Preparation.of_model(network)
    chosen = known.target_in(data) if target is None else target
    X = read_features(
        data,
        n_features=network.n_inputs,
        feature_names=known.feature_names,
        target=chosen,
        target_required=target is not None,  # the column of the training may be missing
    )
    by_place = chosen is None and not known.feature_names and Path(data).suffix.lower() == ".csv"
    if by_place and (left_out := last_column_left_out(data, n_features=network.n_inputs)):
        hint = "if another is the target, name it with --target"
        click.echo(f"mlp-scratch: {data}: the last column, {left_out!r}, is left out; {hint}", err=True)
    if known.scaler is not None:
        X = known.scaler.transform(X, network.dtype)
    values = network.predict(X, backend=backend)
    probabilities = network.predict_proba(X, backend=backend) if proba else None
    if known.class_names:
        if probabilities is not None and probabilities.shape[1] == 1:  # of the second of two classes
            probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
        if not _gives_labels(network):
            values = np.array(known.class_names)[values]
    return Predictions(values, probabilities, known.class_names)


def _gives_labels(network: Sequential) -> bool:
    """Whether each output is a label of its own, for which a prediction says 0 or 1 and names no class."""
    return isinstance(network.task, BinaryCrossEntropy) and network.n_outputs > 1


def _record(predictions: Predictions, model: str, data: str) -> dict[str, object]:
    probabilities = predictions.probabilities
    return {
        "model": model,
        "data": data,
        "class_names": list(predictions.class_names),
        "predictions": predictions.values.tolist(),
        "probabilities": None if probabilities is None else probabilities.tolist(),
    }
