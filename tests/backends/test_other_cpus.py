"""The compiled backend gives the NumPy backend's numbers with the code for other CPUs, too: SSE alone, AVX2 and FMA.

Numba is told name and features in a process of its own; a name alone would leave it the host's features. There the
parity tests run again: networks drawn at random in training and in inference, of many samples and of a few, and sums
longer than a block. And with the tiles that others have: LLVM splits their vectors into those that there are.
"""

import os
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from mlp_kernels.cpu.features import numba_target, vector_unit
from tests.kernels.tiles import UNITS

ROOT = Path(__file__).parents[2]
CPUS = {"x86-64": ("SSE", ["sse2"]), "haswell": ("AVX2+FMA", ["avx2", "fma"])}
"""What code is generated for, the vector unit it then has, and what the host must have to run it."""

TESTS = "test_any_network or test_sums_longer_than_a_block or test_batches_across_panels or test_the_bits_are_those"
RUN = """
import sys
import pytest
from mlp_kernels.cpu.features import vector_unit
assert vector_unit().name == sys.argv[1], vector_unit()
options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
files = [f"tests/backends/test_{name}.py" for name in ("parity", "few_samples", "in_place")]
sys.exit(pytest.main([*options, *files, "-k", sys.argv[2]]))
"""


@pytest.mark.parametrize("cpu", CPUS)
def test_parity_with_code_for_older_cpus(cpu):
    unit, needed = CPUS[cpu]
    if any(f"+{feature}" not in numba_target()[1] for feature in needed):
        pytest.skip(f"this CPU can't run code for {cpu}")
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-c", RUN, unit, TESTS]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "10 passed" in done.stdout


PRETEND = """
from mlp_kernels.cpu import elsewhere, features
unit = features.VectorUnit(*{unit})
features.vector_unit = lambda *_: unit
elsewhere._may_start = lambda: False  # where nobody would pretend
"""


@pytest.mark.parametrize("unit", ["NEON", "AVX-512, issue-bound"])
def test_parity_with_the_tiles_of_other_cpus(unit, tmp_path):
    if UNITS[unit] == vector_unit():
        pytest.skip("these are this CPU's own, which all other tests have")
    # Under another name: by that of AVX-512 an instruction would be chosen that this CPU may not have.
    pretend = PRETEND.format(unit=astuple(replace(UNITS[unit], name="pretended")))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", pretend + RUN, "pretended", "test_any_network or test_batches_across_panels"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "8 passed" in done.stdout
