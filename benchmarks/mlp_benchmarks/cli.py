"""The command `mlp-bench` and its subcommands; mistakes are told as those of `mlp-scratch` are.

Exit code 1 says that a contender was wrong or failed, or that a table is not that of its record.
"""

import sys
from collections.abc import Sequence

import click

from mlp_benchmarks.compare import compare_command
from mlp_benchmarks.costs import costs_command
from mlp_benchmarks.gemm import gemm_command
from mlp_benchmarks.page.command import page_command
from mlp_benchmarks.population import population_command
from mlp_benchmarks.scaling import scaling_command
from mlp_benchmarks.tables import table_command
from mlp_scratch import __version__
from mlp_scratch.cli.running import Commands, run


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Time this engine beside the frameworks, fairly."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


commands.add_command(compare_command)
commands.add_command(costs_command)
commands.add_command(gemm_command)
commands.add_command(page_command)
commands.add_command(population_command)
commands.add_command(scaling_command)
commands.add_command(table_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, `sys.argv` if not given, and return its exit code.

    >>> main(["--version"])
    mlp-bench 0.1.0
    0
    """
    return run(commands, "mlp-bench", arguments)


if __name__ == "__main__":
    sys.exit(main())
