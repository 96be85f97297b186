"""`benchmarks/gpu.sh` with a GPU and a Python that only pretend: every part is run, whatever becomes of the others."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
PARTS = ["machine", "sanitizer-memcheck", "sanitizer-racecheck", "sanitizer-initcheck", "sanitizer-synccheck", "tests",
         "network-tests", "precision-tests", "ladder", "gemm", "population", "compare"]  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


@pytest.fixture
def run(tmp_path):
    """Run a copy of the script; `failing` are words of the commands that shall fail."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "README.md").write_text("the ladder")
    shutil.copy(SCRIPT, tmp_path / "benchmarks")
    programs = tmp_path / "programs"
    programs.mkdir()

    def program(name, text):
        (programs / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (programs / name).chmod(0o755)

    def run(failing="nothing", gpu="A GPU", seconds=0, slow="nothing", folder=None):
        program("nvidia-smi", f"echo '{gpu}'" if gpu else "exit 9")
        program("compute-sanitizer", f'echo sanitized; case "$*" in *{failing}*) exit 1;; esac')
        # The first question is what packages are missing: none. Any other command is written down.
        # Told to end, a slow one says what it has so far.
        answers = f"*{failing}*) echo bad; exit 3;; *{slow}*) trap 'echo so far; exit 130' INT; sleep 30;;"
        program("python", f'[ "$1" = - ] && exit; echo "$*" >>calls; case "$*" in {answers} esac')
        environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHON": str(programs / "python")}
        environment["SECONDS"] = str(seconds)  # which Bash counts up from there
        command = ["bash", str(tmp_path / "benchmarks" / "gpu.sh"), *([] if folder is None else [str(folder)])]
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
        ("ladder*write", ["ladder"]),
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


def test_it_ends_where_no_kernel_can_run(run, tmp_path):
    done = run("unavailability", folder=tmp_path)
    assert done.returncode == 1
    assert lines_of(done, "FAILED") == ["machine"]
    assert lines_of(done, "ok") == []
    assert done.stdout.endswith("bad\n")
    assert archived(tmp_path) == ["machine.log"]


def archived(folder):
    with tarfile.open(folder / "gpu-results.tar.gz") as archive:
        assert "kernels/README.md" in archive.getnames()
        return [Path(name).name for name in archive.getnames() if name.endswith(".log")]


def test_all_that_it_wrote_is_put_where_one_says(run, tmp_path):
    done = run("compare", folder=tmp_path)
    assert done.returncode == 1
    assert sorted(archived(tmp_path)) == sorted(f"{part}.log" for part in PARTS)


def test_a_folder_that_is_not_there_is_named(run, tmp_path):
    done = run(folder=tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere', expected a folder; make it" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_it_ends_in_under_eight_minutes_whatever_takes_long(run):
    """Shortly before that, a part has a second left instead of its own limit."""
    done = run(seconds=469, slow="compare")
    assert "FAILED  compare (exit code 124" in done.stdout  # that of `timeout`
    assert lines_of(done, "FAILED") == ["compare"]
    assert "so far" in (run.folder / "benchmarks/results/A-GPU/logs/compare.log").read_text()


def test_without_a_gpu_it_says_so(run):
    done = run(gpu="")
    assert done.returncode == 2
    assert "nvidia-smi found no GPU" in done.stderr


def test_what_the_sanitizer_watches_is_python():
    """The program that the script writes must at least be one."""
    text = SCRIPT.read_text()
    program = text.split("<<'PYTHON'\n")[-1].split("\nPYTHON\n")[0]
    compile(program, "trial.py", "exec")
