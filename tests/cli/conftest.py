"""What the tests of the command line share."""

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mlp_scratch.cli import main

COMMAND = [sys.executable, "-c", "import sys; from mlp_scratch.cli import main; sys.exit(main())"]

QUICK = ("--hidden", 8, "--epochs", 2)
"""Options of a training that takes no time."""

ANIMALS = "4100,0.24\n29000,0.61\n3800,0.26\n"
"""A cat, a dog and a cat, without their kinds."""


def table(text: str) -> list[list[str]]:
    """The rows of a CSV file."""
    return list(csv.reader(io.StringIO(text)))


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def refused(self, *words: str) -> None:
        """Assert that this was bad usage or bad input: code 2, nothing done, one line with all of `words`."""
        assert (self.code, self.out) == (2, "")
        assert self.err.startswith("mlp-scratch: ")
        assert self.err.count("\n") == 1
        assert self.err.endswith("\n")
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that runs the command in an empty folder and tells how it ended."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def pipe(tmp_path: Path) -> Run:
    """The same in a process of its own, its output going into pipes."""

    def call(*arguments: object) -> Result:
        done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path)
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A CSV file of 60 cats and 60 dogs, far apart, with features of very different scales."""
    rng = np.random.default_rng(5)
    lines = ["weight,height,kind"]
    for kind, weight, height in (("cat", 4_000, 0.25), ("dog, big", 30_000, 0.6)):
        animals = zip(rng.normal(weight, 500, 60), rng.normal(height, 0.02, 60), strict=True)
        lines += [f'{w:.1f},{h:.4f},"{kind}"' for w, h in animals]
    path = tmp_path / "pets.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def trained(run: Run, pets: Path) -> Path:
    """A model that tells cats from dogs."""
    path = pets.with_name("pets.safetensors")
    result = run("train", "--data", pets, "--hidden", 8, "--epochs", 30, "--lr", 0.01, "--out", path)
    assert result.code == 0, result.err
    return path


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """A CSV file of `ANIMALS`."""
    path = tmp_path / "animals.csv"
    path.write_text(ANIMALS)
    return path
