"""The command `mlp-scratch`: its subcommands, and how mistakes become one line and an exit code.

| code | meaning                                                            |
|------|--------------------------------------------------------------------|
| 0    | done                                                               |
| 1    | what was asked about failed: a gradient check, training diverged   |
| 2    | bad usage or bad input, one line on standard error says which      |
| 130  | interrupted by Ctrl-C                                              |
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from mlp_scratch import __version__
from mlp_scratch.cli.gradcheck import gradcheck_command
from mlp_scratch.cli.info import info_command
from mlp_scratch.cli.predict import predict_command
from mlp_scratch.cli.train import train_command
from mlp_scratch.errors import ArgumentError, DivergedError, MlpScratchError, unknown_name


class Commands(click.Group):
    """A group that speaks of options: it offers the nearest command, and spells arguments as they were typed."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown_name("command", args[0], self.commands)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ArgumentError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            options = {p.name for p in command.params if isinstance(p, click.Option)} if command else set()
            if error.argument not in options:
                raise
            spelled = "--" + error.argument.replace("_", "-")
            raise click.ClickException(spelled + str(error).removeprefix(error.argument)) from error


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
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the pipe left. Python flushes once more as it ends, which must then go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result: Any = commands.main(arguments, prog_name="mlp-scratch", standalone_mode=False)
    except click.Abort:
        return _fail("interrupted", 130)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "mlp-scratch"
        return _fail(f"{error.format_message().removesuffix('.')}; see '{path} --help'", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except DivergedError as error:
        return _fail(str(error), 1)
    except MlpScratchError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _fail(f"{reason}; check the path, its permissions and the space left", 2)
    except MemoryError as error:
        return _fail(f"not enough memory for what was asked ({error}); try narrower layers or less data", 2)
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    click.echo(f"mlp-scratch: {' '.join(message.splitlines())}", err=True)
    return code
