"""`benchmarks/gpu.sh` with a GPU and a Python that only pretend: every part is run, whatever becomes of the others."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
PARTS = ["machine", "sanitizer-memcheck", "sanitizer-racecheck", "sanitizer-initcheck", "sanitizer-synccheck", "tests",
         "network-tests", "precision-tests", "ladder", "gemm", "compare", "population"]  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


@pytest.fixture
def run(tmp_path):
    """Run a copy of the script; `failing` are words of the commands that shall fail."""
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(SCRIPT, tmp_path / "benchmarks")
    programs = tmp_path / "programs"
    programs.mkdir()

    def program(name, text):
        (programs / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (programs / name).chmod(0o755)

    def run(failing="nothing", gpu="A GPU", seconds=0, slow="nothing"):
        program("nvidia-smi", f"echo '{gpu}'" if gpu else "exit 9")
        program("compute-sanitizer", f'echo sanitized; case "$*" in *{failing}*) exit 1;; esac')
        # The first question is what packages are missing: none. Any other command is written down.
        answers = f"*{failing}*) echo bad; exit 3;; *{slow}*) sleep 30;;"
        program("python", f'[ "$1" = - ] && exit; echo "$*" >>calls; case "$*" in {answers} esac')
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHON": str(programs / "python")}
        environment["SECONDS"] = str(seconds)  # which Bash counts up from there
        command = ["bash", str(tmp_path / "benchmarks" / "gpu.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    run.folder = tmp_path
    return run


def lines_of(done, word):
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith(word)]


def test_every_part_runs(run):
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(lines_of(done, "ok")) == sorted(PARTS)
    assert "records are in benchmarks/results/A-GPU" in done.stdout
    calls = (run.folder / "calls").read_text()
    assert "compare --contender cuda,torch-cuda,torch-cudagraph,jax-cuda" in calls
    assert "--processes 1 --rounds 5" in calls
    assert "-m mlp_kernels.cuda.ladder --write" in calls


@pytest.mark.parametrize(
    ("failing", "parts"),
    [
        ("racecheck", ["sanitizer-racecheck"]),
        ("test_assembly", ["tests"]),
        ("ladder", ["machine", "ladder"]),  # the first asks the module for the machine's name
        ("gemm", ["gemm"]),
        ("compare", ["compare"]),
        ("jax-cuda-vmap-scan", ["population"]),
    ],
)
def test_the_others_run_where_one_fails(run, failing, parts):
    done = run(failing)
    assert done.returncode == 1
    assert lines_of(done, "FAILED") == parts
    assert sorted(lines_of(done, "ok") + parts) == sorted(PARTS)
    assert f"{len(parts)} parts failed" in done.stdout


def test_it_ends_in_under_eight_minutes_whatever_takes_long(run):
    """Shortly before that, a part has a second left instead of its own limit."""
    done = run(seconds=469, slow="compare")
    assert "FAILED  compare (exit code 124" in done.stdout  # that of `timeout`
    assert lines_of(done, "FAILED") == ["compare"]


def test_without_a_gpu_it_says_so(run):
    done = run(gpu="")
    assert done.returncode == 2
    assert "nvidia-smi found no GPU" in done.stderr


def test_what_the_sanitizer_watches_is_python():
    """The program that the script writes must at least be one."""
    text = SCRIPT.read_text()
    program = text.split("<<'PYTHON'\n")[-1].split("\nPYTHON\n")[0]
    compile(program, "trial.py", "exec")
