"""Mutation testing: `python -m tests.testing.mutation` changes one thing at a time and looks which test notices.

    python -m tests.testing.mutation                     # all stages; goes on where the last run stopped
    python -m tests.testing.mutation --stage gradients --only relu
    python -m tests.testing.mutation --stage compiled --sample 100 --seed 0    # a hundred drawn by chance
    python -m tests.testing.mutation --report            # only what earlier runs found
    python -m tests.testing.mutation --published         # the table that the repository keeps

Verdicts are kept in `--folder`, each with the test that noticed; a mutant is tried again when its function changes,
or when it survived. Survivors that nothing can notice are explained in docs/mutants.md, one by one, by file,
function and change; an explanation of a mutant that does not exist, or that survives in no stage, is an error.
A run without `--only` writes the numbers to record.json beside this file, from where the README has them; what it
did not try stays in there as it was. `--published` says which files have changed since they were tried.
The exit code is 1 where a mutant survived that nobody has explained.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.testing.mutation.mutants import ROOT
from tests.testing.mutation.report import published, report
from tests.testing.mutation.stages import STAGES, Stage

QUIET = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def main() -> int:
    """Run the stages, each in a process of its own, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutants", help="where verdicts are kept")
    parser.add_argument("--stage", nargs="*", choices=list(STAGES), default=list(STAGES))
    parser.add_argument("--only", default="", help="mutants whose file or function has this in it")
    parser.add_argument("--sample", type=int, default=0, help="try only so many of each stage, drawn by chance")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--tests", nargs="*", default=[], help="look with these tests alone, in place of the stage's")
    parser.add_argument("--processes", type=int, default=1, help="how many mutants to try at a time")
    parser.add_argument("--report", action="store_true", help="only report what earlier runs found")
    parser.add_argument("--published", action="store_true", help="only print the table that the repository keeps")
    options = parser.parse_args()
    if options.published:
        return published()
    if options.sample and options.only:
        parser.error("--sample draws from all mutants of a stage: leave out --only")
    options.folder.mkdir(parents=True, exist_ok=True)
    for stage in [] if options.report else [STAGES[name] for name in options.stage]:
        ended = [run(STAGES[stage.calls_of], options, tries=False)] if stage.calls_of else []
        if any((*ended, run(stage, options))):
            return 1
    drawn = {group: (options.sample, options.seed) for name in options.stage for group in STAGES[name].groups}
    return report(options.folder, options.stage, options.only, drawn if options.sample else {})


def run(stage: Stage, options: argparse.Namespace, *, tries: bool = True) -> int:
    """Run a stage, or find out only which of its tests calls what; 0 where nothing went wrong."""
    tests = options.tests or stage.tests
    chosen = {
        "MUTATION_STAGE": stage.name,
        "MUTATION_FOLDER": str(options.folder.resolve()),
        "MUTATION_TRIES": str(int(tries)),
        "MUTATION_ONLY": options.only,
        "MUTATION_SAMPLE": str(options.sample),
        "MUTATION_SEED": str(options.seed),
        "MUTATION_PROCESSES": str(options.processes),
        "MUTATION_TESTS": " ".join(tests),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"]
    command += ["-p", "tests.testing.mutation.plugin"]
    command += ["--assert=plain", "--tb=native"]  # a failure that nobody reads need not be explained
    command += ["-k", " and ".join(f"not {word}" for word in stage.without)] if stage.without else []
    environment = os.environ | QUIET | stage.environment | chosen | {"HYPOTHESIS_PROFILE": "mutants"}
    return subprocess.run([*command, *tests], cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
