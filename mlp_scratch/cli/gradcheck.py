"""`mlp-scratch gradcheck`: whether a backend's gradients are the derivatives of the loss."""

import json as json_text
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.backends import get_backend
from mlp_scratch.cli.choices import n_outputs
from mlp_scratch.cli.options import (
    architecture_options,
    backend_option,
    hidden_widths,
    json_option,
    seed_option,
    table_options,
)
from mlp_scratch.cli.outputs import check_outputs, write_json
from mlp_scratch.cli.preparation import Preparation
from mlp_scratch.cli.recipes import recipe_for
from mlp_scratch.data import load_dataset
from mlp_scratch.data.dataset import Dataset, Task
from mlp_scratch.errors import ArgumentError
from mlp_scratch.io.records import encode
from mlp_scratch.losses import LOSSES, Loss
from mlp_scratch.mlp import MLP
from mlp_scratch.samples import normalises_batches
from mlp_scratch.sequential import Sequential, load

NEW_HIDDEN = (16,)
"""Small enough, on digits, for every parameter to be checked on its own."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line of `gradcheck`."""

    model: str | None
    data: str | None
    target: str | None
    task: Task | None
    samples: int
    hidden: str | None
    activation: str
    dropout: float
    batch_norm: bool
    loss: str | None
    backend: str
    seed: int
    json: str | None


@dataclass(frozen=True)
class Subject:
    """What is checked: a network, one batch, and the loss."""

    network: Sequential
    X: Array
    y: Array
    loss: Loss
    samples_of: str


@click.command("gradcheck", short_help="Hold gradients against derivatives of the loss.")
@click.argument("model", required=False)
@click.option(
    "--data",
    metavar="NAME|FILE",
    help="Where the samples are from.  [default: digits; for a MODEL, normal random numbers]",
)
@table_options
@click.option("--samples", type=int, default=16, show_default=True, metavar="N", help="Samples in the batch.")
@architecture_options
@click.option(
    "--loss", metavar="NAME", help=f"One of {', '.join(LOSSES)}.  [default: the MODEL's, or what suits the data]"
)
@backend_option
@seed_option("weights, random samples, dropout masks and directions")
@json_option
@click.pass_context
def gradcheck_command(ctx: click.Context, /, **options: Any) -> int:
    """Hold the gradients of a MODEL, or of a new network, against derivatives of its loss, in float64.

    Exits with 1 where they differ. A new network has one hidden layer of 16 unless --hidden says otherwise.
    """
    if options["model"] is not None:
        for name in ("hidden", "activation", "dropout", "batch_norm"):
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise ArgumentError(name, given=str(options[name]), expected="none beside a MODEL, which has its own")
        for name in ("target", "task"):
            if options["data"] is None and options[name] is not None:
                raise ArgumentError(name, given=repr(options[name]), expected="none without --data")
    return _gradcheck(Options(**options))


def _gradcheck(options: Options) -> int:
    from mlp_scratch.gradcheck import gradcheck

    check_outputs({"json": options.json}, inputs=[options.model, options.data])
    checks.integer("samples", options.samples, at_least=1)
    checks.integer("seed", options.seed, at_least=0)
    loss = None if options.loss is None else checks.named("loss", options.loss, LOSSES, Loss)
    backend = get_backend(options.backend).name
    subject = _new(options, loss) if options.model is None else _saved(options, options.model, loss)
    if len(subject.X) == 1 and normalises_batches(subject.network):
        raise ArgumentError(
            "samples",
            given=f"one sample of {subject.samples_of}",
            expected="at least 2 where the network has batch normalisation",
            mend="one sample is its own mean: every feature would become 0",
        )
    report = gradcheck(subject.network, subject.X, subject.y, loss=subject.loss, backend=backend, seed=options.seed)
    if options.json:
        about = {
            "parameters": subject.network.n_parameters,
            "samples": len(subject.X),
            "data": subject.samples_of,
            "loss_function": encode(subject.loss),
        }
        write_json(options.json, about | json_text.loads(report.to_json()))
    click.echo(
        f"{subject.network.n_parameters} parameters, {len(subject.X)} samples of {subject.samples_of}, "
        f"{subject.loss.kind}, backend {backend}\n\n{report}"
    )
    return 0 if report.passed else 1


def _new(options: Options, loss: Loss | None) -> Subject:
    source = "digits" if options.data is None else options.data
    dataset = load_dataset(source, seed=options.seed, target=options.target, task=options.task)
    loss = loss or LOSSES[recipe_for(source, dataset.task).loss]
    hidden = NEW_HIDDEN if options.hidden is None else hidden_widths(options.hidden)
    network = MLP(
        [dataset.n_features, *hidden, n_outputs(loss, dataset)],
        activation=options.activation,
        dropout=options.dropout,
        batch_norm=options.batch_norm,
        seed=options.seed,
    )
    X = dataset.scaling.transform(dataset.X_train[: options.samples], "float64")
    return Subject(network, X, dataset.y_train[: options.samples], loss, dataset.name)


def _saved(options: Options, path: str, loss: Loss | None) -> Subject:
    network = load(path)
    loss = loss or network.task
    if options.data is None:
        rng = np.random.default_rng(options.seed)
        X: Array = rng.normal(size=(options.samples, network.n_inputs))
        # Rows of a single 1 among zeros (or for one output, zeros and ones) are targets that every loss takes.
        column = rng.integers(max(2, network.n_outputs), size=options.samples)
        y = np.eye(network.n_outputs)[column] if network.n_outputs > 1 else column[:, np.newaxis]
        return Subject(network, X, y, loss, "normal random numbers")
    known = Preparation.of_model(network)
    target = known.target_in(options.data) if options.target is None else options.target
    dataset = load_dataset(options.data, seed=options.seed, target=target, task=options.task)
    X = dataset.X_train[: options.samples]
    if known.scaler is None:
        X = dataset.scaling.transform(X, "float64")
    if known.feature_names and dataset.feature_names:
        X = X[:, _columns(dataset, known.feature_names, path)]
    elif dataset.n_features != network.n_inputs:
        given = f"{dataset.name} of {dataset.n_features} features"
        raise ArgumentError("data", given=given, expected=f"{network.n_inputs}, as many as {path} has inputs")
    if known.scaler is not None:
        X = known.scaler.transform(X, "float64")
    return Subject(network, X, dataset.y_train[: options.samples], loss, dataset.name)


def _columns(dataset: Dataset, names: Sequence[str], path: str) -> list[int]:
    """Where the features called `names` are among those of `dataset`."""
    for name in names:
        if name not in dataset.feature_names:
            raise ArgumentError(
                "data",
                given=f"{dataset.name} without the feature {name!r}",
                expected=f"the features of {path}",
                mend="where it is a CSV file's last column, name the target with --target",
            )
    return [dataset.feature_names.index(name) for name in names]
