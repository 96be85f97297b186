"""The command `mlp-scratch` and its subcommands, one a file; `running` says how mistakes are told."""

from collections.abc import Sequence

import click

from mlp_scratch import __version__
from mlp_scratch.cli.gradcheck import gradcheck_command
from mlp_scratch.cli.info import info_command
from mlp_scratch.cli.predict import predict_command
from mlp_scratch.cli.running import Commands, run
from mlp_scratch.cli.train import train_command


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Train multi-layer perceptrons, predict with them, check their gradients, and see what the machine can do."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (train_command, predict_command, gradcheck_command, info_command):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, `sys.argv` if not given, and return its exit code.

    >>> main(["--version"])
    mlp-scratch 0.1.0
    0
    """
    return run(commands, "mlp-scratch", arguments)
