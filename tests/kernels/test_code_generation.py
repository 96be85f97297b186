"""What LLVM makes of a tile: the instructions of the CPU it is meant for, nothing spilled, nothing called."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlp_kernels.cpu.features import numba_target

GENERATE = """
import sys
import numpy as np
from mlp_kernels.cpu import native, sharing
from mlp_kernels.cpu.features import tile_for
from mlp_kernels.cpu.fused import Epilogue
share = sharing.share_of(tile_for(np.dtype(sys.argv[1])), Epilogue(bias=True, activation="relu"))
# Code from the cache can't be inspected.
code = native._compiled(share, sharing.PART, "products", False, native.NOTHING)
print(code._library.get_asm_str())
"""
MULTIPLY = """
import sys
import numpy as np
sys.path[:0] = sys.argv[1:]
from tests.kernels.operands import LAYOUTS, check_product
from mlp_kernels.cpu.gemm import gemm
rng = np.random.default_rng(0)
for dtype in ("float32", "float64"):
    for m, n, k in [(1, 1, 1), (13, 45, 70), (97, 70, 300)]:
        a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        for layout in ("c", "fortran", "strided"):
            check_product(gemm(LAYOUTS[layout](a), LAYOUTS[layout](b)), a, b)
            a[0, 0], b[0, 0] = np.nan, np.inf
            check_product(gemm(a, b), a, b)
            a[0, 0], b[0, 0] = 1, 1
print("right")
"""

CPUS = {"x86-64": "xmm", "sandybridge": "ymm", "haswell": "ymm", "znver4": "zmm"}
ROOT = str(Path(__file__).parents[2])
x86 = pytest.mark.skipif("sse2" not in numba_target()[1], reason="an x86 CPU is needed")


def run(code, cpu, *arguments):
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def innermost_loops(assembly):
    """The instructions between a label and the first jump back to it, with no other label between."""
    return re.findall(r"^(\.L\w+):\n((?:\t.*\n)*?\tj\w+\t\1\n)", assembly, flags=re.MULTILINE)


@x86
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cpu", CPUS)
def test_instructions(cpu, dtype):
    assembly = run(GENERATE, cpu, dtype)
    register, letter = CPUS[cpu], "s" if dtype == "float32" else "d"
    fused = cpu in ("haswell", "znver4")
    wanted = rf"vfmadd\d+p{letter}\b.*%{register}" if fused else rf"mulp{letter}\b.*%{register}"
    loops = [body for _, body in innermost_loops(assembly) if len(re.findall(wanted, body)) >= 6]
    assert loops, "no loop of multiply-adds was generated"
    for loop in loops:
        assert not re.search(rf"%rsp.*%{register}|%{register}.*%rsp", loop), "an accumulator is spilled"
    assert not re.search(r"\bcall\w*\t.*\bfma", assembly), "a multiply-add calls the library"
    widest = max((name for name in ("xmm", "ymm", "zmm") if f"%{name}" in assembly), key=lambda name: name[0])
    assert widest == register


@x86
@pytest.mark.parametrize("cpu", ["x86-64", "sandybridge", "haswell"])
def test_products_with_code_for_older_cpus(cpu):
    host = numba_target()[1]
    if any(f"+{feature}" not in host for feature in {"sandybridge": ["avx"], "haswell": ["avx2", "fma"]}.get(cpu, [])):
        pytest.skip(f"this CPU can't run code for {cpu}")
    assert run(MULTIPLY, cpu, ROOT).strip() == "right"
