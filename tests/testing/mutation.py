"""Mutation testing of the engine: `python tests/testing/mutation.py` changes one thing at a time and looks who notices.

Works on a copy of the checkout, one mutant at a time at the lowest priority, with mutmut
(https://github.com/boxed/mutmut; `pip install mutmut`). A second run in the same folder goes on where the first one
stopped. Prints killed, survived and equivalent mutants by file; the equivalent ones are those that
`docs/mutants.md` explains, one by one.

    python tests/testing/mutation.py --folder /tmp/mutants [--only 'mlp_scratch.layers*' ...]
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXPLAINED = ROOT / "docs" / "mutants.md"
COPIED = ("mlp_scratch", "kernels", "benchmarks", "tests", "docs", "pyproject.toml", "README.md", "LICENSE")
MUTATED = (
    "mlp_scratch/layers/*",
    "mlp_scratch/losses/*",
    "mlp_scratch/optimizers/*",
    "mlp_scratch/initializers.py",
    "mlp_scratch/functional.py",
    "mlp_scratch/random.py",
    "mlp_scratch/derivatives.py",
    "mlp_scratch/gradcheck.py",
)
TESTS = (
    "tests/testing/test_layers.py",
    "tests/testing/test_losses.py",
    "tests/testing/test_optimizers.py",
    "tests/testing/test_models.py",
    "tests/testing/test_backends.py",
    "tests/testing/test_survivors.py",
    "tests/layers",
    "tests/losses",
    "tests/optimizers",
    "tests/test_functional.py",
    "tests/test_random.py",
    "tests/test_initializers.py",
    "tests/test_wrong_gradients.py",
    "tests/test_bad_input.py",
    "tests/test_bad_objects.py",
    "tests/test_gradcheck.py",
)
UNMUTATED = (r"raise ArgumentError\($", r"raise ArgumentTypeError\($", r"raise unknown_name\(")
"""What a refusal says is not arithmetic: whether it is raised, its condition, is mutated, its words are not."""

CONFIG = f"""
[tool.mutmut]
source_paths = ["mlp_scratch"]
only_mutate = {json.dumps(MUTATED)}
do_not_mutate_patterns = {json.dumps(UNMUTATED)}
also_copy = ["kernels", "benchmarks", "docs"]
pytest_add_cli_args = ["-x", "-q", "-p", "no:cacheprovider", "-k", "not frameworks"]
pytest_add_cli_args_test_selection = {json.dumps([test for test in TESTS if (ROOT / test).exists()])}
process_isolation = "forkserver"
timeout_multiplier = 3.0
timeout_constant = 10.0
use_git_change_detection = false
track_dependencies = false
"""
"""Forked from a server: the main process has threads of BLAS, which a fork would leave half alive."""

MUTANT = re.compile(r"^\s*(mlp_scratch\S+): (.+)$", re.MULTILINE)


def main() -> int:
    """Run, then report. The exit code is 1 where a mutant survived that nobody has explained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/mlp-scratch-mutants"), help="where the copy lies")
    parser.add_argument("--only", nargs="*", default=[], help="mutants by name, as in 'mlp_scratch.layers.relu*'")
    parser.add_argument("--report", action="store_true", help="only report what an earlier run found")
    options = parser.parse_args()
    if not options.report:
        copy(options.folder)
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *options.only]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "mutants"}
        subprocess.run(command, cwd=options.folder, env=environment, check=False, preexec_fn=lambda: os.nice(19))
    return report(options.folder)


def copy(folder: Path) -> None:
    """Bring the copy up to date; what mutmut found there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        else:
            shutil.copy2(source, target)
    with open(folder / "pyproject.toml", "a") as file:
        file.write(CONFIG)


def report(folder: Path) -> int:
    """Print the numbers by file, and the survivors that are not explained."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    lines = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    explained = set(re.findall(r"`(mlp_scratch\S+__mutmut_\d+)`", EXPLAINED.read_text() if EXPLAINED.exists() else ""))
    counts: dict[str, Counter[str]] = {}
    unexplained = []
    waiting = 0
    for name, status in MUTANT.findall(lines):
        if status == "not checked":
            waiting += 1
            continue
        verdict = "equivalent" if name in explained and status != "killed" else status
        counts.setdefault(name.split(".x")[0], Counter())[verdict] += 1
        if verdict not in ("killed", "timeout", "equivalent"):
            unexplained.append(f"{name}: {status}")
    total: Counter[str] = sum(counts.values(), Counter())
    out = [f"{'module':<44} {'killed':>7} {'other':>6} {'equivalent':>10}"]
    for module, own in sorted([*counts.items(), ("all", total)], key=lambda row: (row[0] == "all", row[0])):
        killed = own["killed"] + own["timeout"]  # a mutant that never ends is noticed, too
        out.append(f"{module:<44} {killed:>7} {own.total() - killed - own['equivalent']:>6} {own['equivalent']:>10}")
    killed = total["killed"] + total["timeout"]
    out.append(f"{killed} of {total.total() - total['equivalent']} mutants that are not equivalent were killed")
    if waiting:
        out.append(f"{waiting} mutants have not been tried yet: run it again, it goes on from here")
    sys.stdout.write("\n".join([*out, *unexplained]) + "\n")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
