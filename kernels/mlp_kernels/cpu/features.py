"""Which vector instructions Numba compiles for on this machine, and the register tile that suits them."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import config
from numba.core.codegen import get_host_cpu_features

from mlp_kernels.cpu.tile import Tile

# Asks for one fused multiply-add of 512 bits. What LLVM makes of it tells the widest vectors it will use.
_PROBE = """
declare <16 x float> @llvm.fmuladd.v16f32(<16 x float>, <16 x float>, <16 x float>)
define void @probe(ptr %p) {
  %x = load <16 x float>, ptr %p, align 4
  %y = call <16 x float> @llvm.fmuladd.v16f32(<16 x float> %x, <16 x float> %x, <16 x float> %x)
  store <16 x float> %y, ptr %p, align 4
  ret void
}
"""


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """A CPU's vector instructions.

    Attributes:
        name: the instruction set's.
        bits: width of a register.
        registers: how many there are.
        fused: whether a multiply-add is one instruction, rounded once.
        issue_bound: whether the multipliers alone take about half of the instructions that a core begins in a cycle, so
            that each load beside a multiply-add costs time. So it is where a core of Intel's has two multipliers of 512
            bits; AMD's Zen 4 multiplies one such vector in a cycle, and Zen 5 begins twice as many instructions.
    """

    name: str
    bits: int
    registers: int
    fused: bool
    issue_bound: bool = False


def numba_target() -> tuple[str, str]:
    """The CPU name and the feature string that Numba gives to LLVM.

    They are the host's unless `NUMBA_CPU_NAME` or `NUMBA_CPU_FEATURES` say otherwise. A name alone does not
    take features away: an AVX-512 machine told to be `haswell` still gets AVX-512 code from Numba.
    """
    name = config.CPU_NAME or llvm.get_host_cpu_name()
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return name, features


def assembly(ir_module: str, cpu: str, features: str, triple: str | None = None) -> str:
    """The assembly that LLVM emits for `ir_module` on a CPU, of this machine's architecture unless told."""
    if triple is None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        target = llvm.Target.from_triple(triple)
    machine: Any = target.create_target_machine(cpu=cpu, features=features, opt=3)
    return str(machine.emit_assembly(llvm.parse_assembly(ir_module)))


@cache
def vector_unit(cpu: str | None = None, features: str | None = None, triple: str | None = None) -> VectorUnit:
    """The vector unit that code is generated for: Numba's target, or the one described.

    LLVM is asked to compile a wide multiply-add and the registers in its answer are read: what a CPU name
    implies, and what a feature string adds or takes away, is LLVM's knowledge and need not be repeated here.

    >>> vector_unit("haswell", "", "x86_64-unknown-linux-gnu")
    VectorUnit(name='AVX2+FMA', bits=256, registers=16, fused=True, issue_bound=False)
    >>> vector_unit("x86-64", "", "x86_64-unknown-linux-gnu").name
    'SSE'
    """
    if cpu is None or features is None:
        host_cpu, host_features = numba_target()
        cpu, features = cpu or host_cpu, host_features if features is None else features
    text = assembly(_PROBE, cpu, features, triple)
    fused = "fmadd" in text
    if "zmm" in text:
        return VectorUnit("AVX-512", 512, 32, fused, issue_bound=not cpu.startswith("znver"))
    if "ymm" in text:
        return VectorUnit("AVX2+FMA" if fused else "AVX", 256, 16, fused)
    if "xmm" in text:
        return VectorUnit("SSE+FMA" if fused else "SSE", 128, 16, fused)
    if "fmla" in text and ".4s" in text:
        return VectorUnit("NEON", 128, 32, True)
    # Vectors of any width are legal IR: on an architecture not named here LLVM splits them as it must.
    return VectorUnit("other", 128, 16, False)


@cache
def tile_for(dtype: np.dtype[Any], unit: VectorUnit | None = None, *, wide: bool = True) -> Tile:
    """The register tile for `dtype` (float32 or float64) on a vector unit, this machine's unless told.

    A tile of R rows by V vectors keeps R*V accumulators and V vectors of B in registers, and broadcasts one
    element of A at a time. R*V >= 8 hides the latency of the multiply-add (4 cycles, two units); all of them
    must fit, for a single spilled accumulator costs half of the speed. 8 x 2 and 6 x 2 were the fastest that
    fit 32 and 16 registers among those measured on x86; on NEON the choice is by counting registers.

    Where instructions are scarce, those count: R*V multiply-adds need R + V loads, 0.63 for each with 8 x 2 and 0.42
    with 6 x 4. On a Skylake with AVX-512, 6 x 4 was the fastest of 8 x 2, 12 x 2, 14 x 2, 8 x 3, 9 x 3 and 6 x 4. A
    product that is not `wide` would leave much of it empty, and gets 8 x 2.

    >>> tile_for(np.dtype("float32"), VectorUnit("AVX-512", 512, 32, True))
    Tile(dtype=dtype('float32'), lanes=16, rows=8, vectors=2, tall_rows=0)
    >>> tile_for(np.dtype("float32"), VectorUnit("AVX-512", 512, 32, True, issue_bound=True))
    Tile(dtype=dtype('float32'), lanes=16, rows=6, vectors=4, tall_rows=0)
    """
    unit = unit or vector_unit()
    lanes = unit.bits // (8 * dtype.itemsize)
    if unit.issue_bound and wide:
        return Tile(dtype, lanes=lanes, rows=6, vectors=4)
    return Tile(dtype, lanes=lanes, rows=8 if unit.registers >= 32 else 6, vectors=2)


@cache
def panel_tile(dtype: np.dtype[Any], unit: VectorUnit | None = None) -> Tile:
    """The register tile for operands that lie in panels: its rows divide a panel.

    Where the registers hold more rows, and these pay, there is a tall one, too. A row has two vectors everywhere: of
    four, a batch of 32 would leave half of a panel empty.

    >>> panel_tile(np.dtype("float32"), VectorUnit("AVX2+FMA", 256, 16, True))
    Tile(dtype=dtype('float32'), lanes=8, rows=4, vectors=2, tall_rows=6)
    """
    unit = unit or vector_unit()
    tile = tile_for(dtype, unit, wide=False)
    rows, most = min(1 << (tile.rows.bit_length() - 1), tile.columns), 12 if unit.issue_bound else tile.rows
    return replace(tile, rows=rows, tall_rows=most if most > rows else 0)
