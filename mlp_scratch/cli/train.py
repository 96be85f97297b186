"""`mlp-scratch train`: from a data set to a trained model and its scores."""

import os
from collections.abc import Callable
from typing import Any

import click

from mlp_scratch.cli.choices import Options, build, choose
from mlp_scratch.cli.options import architecture_options, backend_option, json_option, seed_option, table_options
from mlp_scratch.cli.outputs import check_image, check_outputs, write_json
from mlp_scratch.cli.preparation import Preparation
from mlp_scratch.cli.recipes import recipe_for, recipe_table
from mlp_scratch.cli.running import INTERRUPTED
from mlp_scratch.cli.train_report import Report, score
from mlp_scratch.data import load_dataset
from mlp_scratch.errors import ArgumentError, DivergedError
from mlp_scratch.losses import LOSSES
from mlp_scratch.mlp import MLP
from mlp_scratch.optimizers import OPTIMIZERS


@click.command(
    "train",
    short_help="Train a network and score it on unseen samples.",
    epilog="\b\nDefaults by data set, for files by task:\n" + recipe_table(),
)
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="NAME|FILE",
    help="digits, xy, mnist, fashion-mnist, or a .csv or .npz file.",
)
@table_options
@click.option(
    "--test-fraction",
    type=float,
    default=0.2,
    show_default=True,
    metavar="P",
    help="Share of the samples kept for the test, where the data have no test part.",
)
@architecture_options
@click.option("--loss", metavar="NAME", help=f"One of {', '.join(LOSSES)}.")
@click.option("--optimizer", metavar="NAME", help=f"One of {', '.join(OPTIMIZERS)}.")
@click.option(
    "--lr", type=float, metavar="RATE", help="Learning rate; with --optimizer its own default, else the one below."
)
@click.option("--batch-size", type=int, metavar="N", help="Samples a step.")
@click.option("--epochs", type=int, metavar="N", help="Passes over the training samples.")
@click.option("--validation", type=float, metavar="P", help="Share of the training samples to validate on.")
@click.option(
    "--patience",
    type=int,
    metavar="N",
    help="Stop after N epochs without improvement, with the best epoch's parameters.",
)
@backend_option
@click.option("--dtype", default="float32", show_default=True, metavar="NAME", help="float32 or float64.")
@click.option(
    "--precision",
    metavar="NAME",
    help="tf32, bf16 or 3xtf32 for products on a GPU's tensor cores.  [default: the dtype]",
)
@seed_option("the split, initial weights, data order and dropout")
@click.option("--threads", type=int, metavar="N", help="Use at most N threads.")
@click.option("--out", metavar="FILE", help="Save the model, with its scaler and class names, as safetensors.")
@click.option("--plot", metavar="FILE", help="Draw loss and accuracy over the epochs, as .png, .svg or .pdf.")
@json_option
def train_command(**options: Any) -> int:
    """Train a network on a data set and score it on samples that it has not seen.

    Features are scaled by what the training samples say. Ctrl-C ends the training after the step under way, and exits
    with 130; a divergence ends it before the step that is not finite, and exits with 1. Both write --out and --json;
    but a divergence leaves a file that is at --out already, and saves the model beside it.
    """
    return _train(Options(**options))


def _train(options: Options) -> int:
    outputs = {"out": options.out, "plot": options.plot, "json": options.json}
    if_diverged = _place_if_diverged(options.out)
    check_outputs(outputs, inputs=[options.data, None if if_diverged == options.out else if_diverged])
    if options.plot:
        check_image("plot", options.plot)
    dataset = load_dataset(
        options.data,
        test_fraction=options.test_fraction,
        seed=options.seed,
        target=options.target,
        task=options.task,
    )
    recipe = recipe_for(options.data, dataset.task)
    choices = choose(options, recipe)
    model = build(options, choices, recipe, dataset)
    model.metadata = Preparation.of(options.data, dataset, options.target).to_metadata()
    report = Report(options, choices, dataset, model)
    X, X_test = (dataset.scaling.transform(part, options.dtype) for part in (dataset.X_train, dataset.X_test))
    try:
        model.fit(
            X,
            dataset.y_train,
            loss=choices.loss,
            optimizer=choices.optimizer,
            batch_size=choices.batch_size,
            epochs=choices.epochs,
            validation=options.validation,
            callbacks=[report, *choices.callbacks],
            backend=options.backend,
            threads=options.threads,
            precision=options.precision,
        )
    except KeyboardInterrupt:
        return _interrupted(model, report)
    except DivergedError as error:
        return _diverged(model, report, error)
    # Before the scores, so that neither Ctrl-C nor a reader that leaves the pipe costs what was learnt.
    writers: dict[str, Callable[[str], object]] = {"out": model.save, "plot": model.history.plot}
    lost = {option: _lost(outputs[option], write) for option, write in writers.items()}
    parts = {"training": (X, dataset.y_train), "test": (X_test, dataset.y_test)}
    scores = score(model, parts, backend=options.backend, threads=options.threads)
    lost["json"] = _lost(options.json, lambda path: write_json(path, report.record(scores)))
    report.show(scores)
    for option, path in outputs.items():
        if path and not lost[option]:
            click.echo(f"--{option} written to {path}")
    for option, reason in lost.items():
        if reason:
            given = f"{outputs[option]!r} ({reason})"
            mend = "make room for it, or choose another place"
            raise ArgumentError(option, given=given, expected="a file that can be written", mend=mend)
    return 0


def _lost(path: str | None, write: Callable[[str], object]) -> str:
    """Write to `path`, if there is one. Where that can't be done, why: it is no reason to lose everything else."""
    try:
        if path:
            write(path)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _interrupted(model: MLP, report: Report) -> int:
    if model.training is None:
        click.echo("mlp-scratch: interrupted before the first step", err=True)
        return INTERRUPTED
    steps, epochs = model.training.step, model.training.epoch
    kept = _keep(model, report, report.options.out)
    click.echo(f"mlp-scratch: interrupted at step {steps}, after {epochs} whole epochs{kept}", err=True)
    return INTERRUPTED


def _diverged(model: MLP, report: Report, error: DivergedError) -> int:
    model.history.stopped = f"diverged: the {error.quantity} of {error.layer} is not finite at step {error.step}"
    out = _place_if_diverged(report.options.out)
    click.echo(f"mlp-scratch: {error}{_keep(model, report, out)}", err=True)
    return 1


def _place_if_diverged(out: str | None) -> str | None:
    """Where a model that diverged is saved: beside one of an earlier training, which it is no improvement on."""
    if not out or not os.path.exists(out):
        return out
    root, suffix = os.path.splitext(out)
    return f"{root}.diverged{suffix}"


def _keep(model: MLP, report: Report, out: str | None) -> str:
    """Save the model of a training that was cut short, and its record, where they were asked for; says where."""
    kept = ""
    if out:
        reason = _lost(out, model.save)
        kept = f"; the model can't be saved to {out} ({reason})" if reason else f"; the model is saved to {out}"
    if json := report.options.json:
        reason = _lost(json, lambda path: write_json(path, report.record({})))
        kept += f"; --json can't be written to {json} ({reason})" if reason else f"; --json written to {json}"
    return kept
