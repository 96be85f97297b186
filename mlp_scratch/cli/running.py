"""How a command line ends: every mistake becomes one line on standard error and an exit code.

| code | meaning                                                            |
|------|--------------------------------------------------------------------|
| 0    | done                                                               |
| 1    | what was asked about failed: a gradient check, training diverged   |
| 2    | bad usage or bad input, one line on standard error says which      |
| 130  | interrupted by Ctrl-C                                              |
"""

import os
import re
import sys
from collections.abc import Sequence, Set
from io import TextIOWrapper
from typing import Any

import click

from mlp_scratch.errors import ArgumentError, BackendUnavailableError, DivergedError, MlpScratchError, unknown_name

INTERRUPTED = 130
"""The exit code of a process that Ctrl-C ended: 128 + SIGINT."""


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
        except (ArgumentError, BackendUnavailableError) as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            options = {spelling for p in command.params for spelling in p.opts} if command else set()
            raise click.ClickException(_as_typed(error, options)) from error


def _as_typed(error: ArgumentError | BackendUnavailableError, options: Set[str]) -> str:
    """The message with the argument that it names, and those of its mend, as the options that they are.

    >>> error = ArgumentError("batch_size", given=0, expected="32", mend="or use backend='numpy'")
    >>> _as_typed(error, {"--batch-size", "--backend"})
    '--batch-size: got 0, expected 32; or use --backend numpy'
    """

    def spelled(found: re.Match[str]) -> str:
        option = _option(found[1])
        return f"{option} {found[2]}" if option in options else found[0]

    message = str(error)
    if isinstance(error, ArgumentError) and _option(error.argument) in options:
        message = _option(error.argument) + message.removeprefix(error.argument)
    return re.sub(r"\b(\w+)='([^']*)'", spelled, message)


def _option(argument: str) -> str:
    return "--" + argument.replace("_", "-")


def run(commands: click.Group, program: str, arguments: Sequence[str] | None) -> int:
    """Run one of the commands, named by `sys.argv` if no arguments are given, and return the exit code."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the shell (`>&-`): what is said goes nowhere, to the end
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: a file's name may be in any bytes
    try:
        code, message = _outcome(commands, program, arguments)
        if message:
            click.echo(f"{program}: {' '.join(message.splitlines())}", err=True)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the pipe left. Python flushes once more as it ends, which must then go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _outcome(commands: click.Group, program: str, arguments: Sequence[str] | None) -> tuple[int, str]:
    """The exit code, and what to say about it."""
    try:
        result: Any = commands.main(arguments, prog_name=program, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else program
        return 2, f"{error.format_message().removesuffix('.')}; see '{path} --help'"
    except click.ClickException as error:
        return 2, error.format_message()
    except DivergedError as error:
        return 1, str(error)
    except MlpScratchError as error:
        return 2, str(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return 2, f"{reason}; check the path, its permissions and the space left"
    except MemoryError as error:
        return 2, f"not enough memory for what was asked ({error}); try narrower layers or less data"
    return (result if isinstance(result, int) else 0), ""
