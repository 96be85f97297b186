"""The command `mlp-bench`: its subcommands, and how mistakes become one line and an exit code.

| code | meaning                                                               |
|------|-----------------------------------------------------------------------|
| 0    | done                                                                  |
| 1    | a contender was wrong or failed; the table is not that of the record  |
| 2    | bad usage or bad input, one line on standard error says which         |
| 130  | interrupted by Ctrl-C                                                 |
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from mlp_benchmarks.compare import INTERRUPTED, compare_command
from mlp_benchmarks.tables import table_command
from mlp_scratch import __version__
from mlp_scratch.errors import ArgumentError, MlpScratchError, unknown_name


class Commands(click.Group):
    """A group that offers the nearest command for one that it does not know."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and args[0] not in self.commands:
            raise unknown_name("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Time this engine beside the frameworks, fairly."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


commands.add_command(compare_command)
commands.add_command(table_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, `sys.argv` if not given, and return its exit code.

    >>> main(["--version"])
    mlp-bench 0.1.0
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
        result: Any = commands.main(arguments, prog_name="mlp-bench", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except ArgumentError as error:
        option = error.argument in ("case", "contender", "optimizer", "threads", "rounds", "json")
        return _fail(("--" if option else "") + str(error), 2)
    except MlpScratchError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 2)
    except MemoryError as error:
        return _fail(f"not enough memory for what was asked ({error}); try a narrower case", 2)
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    click.echo(f"mlp-bench: {' '.join(message.splitlines())}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
