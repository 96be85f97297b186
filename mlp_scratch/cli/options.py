"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mlp_scratch.backends import BACKENDS
from mlp_scratch.backends.numba_settings import check_numba_settings
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import ACTIVATIONS

F = TypeVar("F", bound=Callable[..., Any])


def architecture_options(command: F) -> F:
    """--hidden, --activation, --dropout and --batch-norm."""
    for option in reversed(
        (
            click.option("--hidden", metavar="H1,H2,...", help="Widths of the hidden layers; 'none' for none."),
            click.option(
                "--activation",
                default="relu",
                show_default=True,
                metavar="NAME",
                help=f"Activation of the hidden layers: {', '.join(sorted(ACTIVATIONS))}.",
            ),
            click.option(
                "--dropout",
                type=float,
                default=0.0,
                show_default=True,
                metavar="P",
                help="Probability of dropping a hidden activation.",
            ),
            click.option("--batch-norm", is_flag=True, help="Normalise each batch before the activations."),
        )
    ):
        command = option(command)
    return command


def table_options(command: F) -> F:
    """--target and --task, which say how a file of data is meant."""
    for option in reversed(
        (
            click.option("--target", metavar="COLUMN", help="Target column of a CSV file.  [default: the last]"),
            click.option("--task", metavar="TASK", help="'classification' or 'regression', where a file misleads."),
        )
    ):
        command = option(command)
    return command


def seed_option(of: str) -> Callable[[F], F]:
    """--seed, of what `of` lists."""
    return click.option("--seed", type=int, default=0, show_default=True, metavar="N", help=f"Of {of}.")


def _compiles(ctx: click.Context, parameter: click.Parameter, backend: str) -> str:
    """The name of the backend, having checked the settings of those that compile."""
    if backend != "numpy":
        check_numba_settings("unset it, or use --backend numpy")
    return backend


json_option = click.option("--json", "json", metavar="FILE", help="Write the result as JSON, in full precision.")
backend_option = click.option(
    "--backend",
    default="auto",
    show_default=True,
    metavar="NAME",
    callback=_compiles,
    help=f"What does the arithmetic: {', '.join(BACKENDS)}, or auto for the fastest that can.",
)


def hidden_widths(text: str) -> tuple[int, ...]:
    """The widths that `--hidden` lists; an empty text or "none" stands for no hidden layer.

    >>> hidden_widths("256, 128"), hidden_widths("none")
    ((256, 128), ())
    """
    if text.strip() in ("", "none"):
        return ()
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = (0,)
    if min(widths) < 1:
        raise ArgumentError(
            "hidden", given=repr(text), expected="widths of at least 1 between commas, or none", mend="try 256,128"
        )
    return widths
