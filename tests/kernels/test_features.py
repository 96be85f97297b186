"""The vector unit is what LLVM really compiles for, and the tile fits its registers."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from mlp_kernels.cpu.features import VectorUnit, numba_target, panel_tile, tile_for, vector_unit

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


@pytest.mark.parametrize(
    ("cpu", "features", "triple", "expected"),
    [
        ("x86-64", "", X86, VectorUnit("SSE", 128, 16, False)),
        ("sandybridge", "", X86, VectorUnit("AVX", 256, 16, False)),
        ("haswell", "", X86, VectorUnit("AVX2+FMA", 256, 16, True)),
        ("skylake-avx512", "", X86, VectorUnit("AVX-512", 512, 32, True, issue_bound=True)),
        ("sapphirerapids", "", X86, VectorUnit("AVX-512", 512, 32, True, issue_bound=True)),
        ("znver4", "", X86, VectorUnit("AVX-512", 512, 32, True)),
        ("haswell", "+avx512f", X86, VectorUnit("AVX-512", 512, 32, True, issue_bound=True)),
        ("haswell", "-avx2,-fma", X86, VectorUnit("AVX", 256, 16, False)),
        ("generic", "", ARM, VectorUnit("NEON", 128, 32, True)),
    ],
)
def test_the_unit_is_what_llvm_compiles_for(cpu, features, triple, expected):
    try:
        assert vector_unit(cpu, features, triple) == expected
    except RuntimeError as error:  # this build of LLVM has no such back end
        pytest.skip(str(error))


@pytest.mark.parametrize(("cpu", "bits"), [("generic", 128), ("haswell", 256)])
def test_numbas_environment_decides(cpu, bits):
    code = "from mlp_kernels.cpu.features import vector_unit; print(vector_unit().bits)"
    environment = os.environ | {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    if not numba_target()[1].startswith(("+", "-")) or vector_unit().name == "NEON":
        pytest.skip("an x86 CPU is needed")
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(out.stdout) == bits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("bits", "registers", "issue_bound"),
    [(512, 32, False), (512, 32, True), (256, 16, False), (128, 16, False), (128, 32, False)],
)
def test_the_tile_fits_the_registers_and_hides_the_latency(dtype, bits, registers, issue_bound):
    unit = VectorUnit("any", bits, registers, True, issue_bound)
    panels = panel_tile(np.dtype(dtype), unit)
    for tile in (tile_for(np.dtype(dtype), unit), panels, replace(panels, rows=max(panels.rows, panels.tall_rows))):
        assert tile.lanes * tile.dtype.itemsize * 8 == bits
        accumulators = tile.rows * tile.vectors
        assert accumulators >= 8
        assert accumulators + tile.vectors + 1 <= registers
    assert panels.columns % panels.rows == 0


def test_where_instructions_are_scarce_a_wide_product_gets_fewer_loads():
    unit = VectorUnit("any", 512, 32, True, issue_bound=True)
    wide, narrow = (tile_for(np.dtype("float32"), unit, wide=wide) for wide in (True, False))
    assert [(tile.rows, tile.vectors) for tile in (wide, narrow)] == [(6, 4), (8, 2)]
    assert panel_tile(np.dtype("float32"), unit).columns == narrow.columns
