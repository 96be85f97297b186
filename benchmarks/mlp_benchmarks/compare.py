"""`mlp-bench compare`: races over cases and optimisers, and the report of them."""

import click

from mlp_benchmarks.cases import CASES, DEFAULT_CASES, OPTIMIZERS
from mlp_benchmarks.command import Progress, chosen, exit_code, has_outcome, measure, thread_counts, writable
from mlp_benchmarks.contenders import CONTENDERS
from mlp_benchmarks.page import write_page
from mlp_benchmarks.race import Rules
from mlp_benchmarks.random_shapes import RANDOM_CONTENDERS, random_cases, slower_lines
from mlp_benchmarks.records import Report
from mlp_benchmarks.report import print_report
from mlp_benchmarks.training_races import TrainingRaces
from mlp_scratch import checks
from mlp_scratch.errors import ArgumentError

CASES_IN_A_GROUP = 4
"""Cases in a row that share their processes: starting them all takes as long as a race."""
MOST_SECONDS = 50.0
"""For a case with one optimiser, where it is the only case and no number of processes is asked for: with what comes
before and after, a case with both optimisers takes no more than two minutes."""


@click.command("compare")
@click.option(
    "--case", "cases", metavar="NAME,...", help=f"Of {', '.join(CASES)}; or all.  [default: {','.join(DEFAULT_CASES)}]"
)
@click.option("--contender", "contenders", metavar="NAME,...", help=f"Of {', '.join(CONTENDERS)}.  [default: all]")
@click.option("--optimizer", "optimizers", metavar="NAME,...", help=f"Of {', '.join(OPTIMIZERS)}.  [default: all]")
@click.option(
    "--threads", default="1", show_default=True, metavar="N,...", help="Threads, and processors, of each; 1,2 for both."
)
@click.option(
    "--rounds", type=int, default=Rules.rounds, show_default=True, metavar="N", help="Times each process is timed."
)
@click.option(
    "--processes",
    type=int,
    metavar="N",
    help=f"Processes of each, in turn.  [default: {Rules.processes}, or fewer of a single case that takes long; with"
    " --random 1]",
)
@click.option("--random", "n_random", type=int, metavar="N", help="Race N random architectures in place of the cases.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of the random architectures.")
@click.option("--minutes", type=float, metavar="M", help="Start no further case after so many.")
@click.option("--json", "json_file", metavar="FILE", help="Write the records, in full precision.")
@click.option("--html", "html_file", metavar="FILE", help="Write a page with plots, readable without a network.")
def compare_command(
    cases: str | None,
    contenders: str | None,
    optimizers: str | None,
    threads: str,
    rounds: int,
    processes: int | None,
    n_random: int | None,
    seed: int,
    minutes: float | None,
    json_file: str | None,
    html_file: str | None,
) -> int:
    """Time a training step of this engine beside the frameworks that are installed.

    Every contender gets the same weights and the same batches, and its losses are compared with those of the
    float64 NumPy backend before any time is reported. Exit code 1 says that one was wrong, or failed.
    """
    asked_for = processes is not None
    if processes is None:
        processes = Rules.processes if n_random is None else 1
    if n_random is not None and cases is not None:
        raise ArgumentError(
            "case", given=f"{cases} beside --random", expected="one of the two", mend="leave out --case or --random"
        )
    names = tuple(CONTENDERS) if n_random is None else RANDOM_CONTENDERS
    if n_random is None:
        all_cases = chosen("case", ",".join(CASES) if cases == "all" else cases, CASES, default=DEFAULT_CASES)
        raced = list(all_cases.values())
    else:
        raced = random_cases(checks.integer("random", n_random, at_least=1), checks.integer("seed", seed, at_least=0))
    size = CASES_IN_A_GROUP if minutes is None else 1  # the clock is looked at between groups
    groups = [raced[i : i + size] for i in range(0, len(raced), size)]
    races = TrainingRaces(
        groups=groups,
        optimizers=list(chosen("optimizer", optimizers, OPTIMIZERS, default=tuple(OPTIMIZERS))),
        threads=thread_counts(threads),
        entries=chosen(
            "contender", contenders, CONTENDERS, default=tuple(name for name in names if name in CONTENDERS)
        ),
        rules=Rules(
            rounds=checks.integer("rounds", rounds, at_least=1),
            processes=checks.integer("processes", processes, at_least=1),
            most_seconds=Rules.most_seconds if asked_for or len(raced) > 1 else MOST_SECONDS,
        ),
        minutes=None if minutes is None else checks.real("minutes", minutes, above=0.0),
    )
    path, page = writable("json", json_file), writable("html", html_file)
    if path is not None and page is not None and path.resolve() == page.resolve():
        raise ArgumentError("html", given=str(page), expected="another file than --json", mend="give it another name")
    report = Report(machine={})
    left_out = 0

    def hold_races(progress: Progress) -> None:
        nonlocal left_out
        left_out = len(raced) - races.run(report, progress=progress, path=path)

    measure(report, path, races.threads, hold_races)
    if report.machine:
        print_report(report)
        if page is not None and has_outcome(report):
            write_page(page, report)
    if left_out:
        click.echo(f"{left_out} cases were left out, since the minutes were over")
    if n_random is not None:
        for line in slower_lines(report.records):
            click.echo(line)
    return exit_code(report, path)
