"""The CUDA backend on a machine without a GPU: the simulator's tests in a process of their own, and clear refusals."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_everything_in_the_simulator():
    """A process decides once, when it loads Numba, whether GPUs are simulated."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/backends/simulated_cuda.py"]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
