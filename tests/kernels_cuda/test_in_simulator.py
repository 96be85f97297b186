"""Without a GPU, the tests of this folder run in Numba's CUDA simulator, a process for each module.

Numba decides once, when it is imported, whether there is a simulator; hence the processes.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlp_kernels.cuda.device import IS_SIMULATOR

HERE = Path(__file__).parent
MODULES = [
    "test_device",
    "test_epilogues",
    "test_gemm",
    "test_graphs",
    "test_ladder_command",
    "test_plain_rungs",
    "test_tensor_core",
    "test_tiles",
]


@pytest.mark.skipif(IS_SIMULATOR, reason="this is the simulator")
@pytest.mark.parametrize("module", MODULES)
def test_in_the_simulator(module):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / f"{module}.py")]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, env=environment, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout


def test_every_module_that_needs_a_gpu_runs_in_the_simulator():
    others = [file for file in HERE.glob("test_*.py") if file != Path(__file__)]
    assert {file.stem for file in others if "on_gpu import" in file.read_text()} == set(MODULES)
