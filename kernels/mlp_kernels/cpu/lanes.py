"""Vectors that formulas can be written with: `a * b + c` emits the instructions, an element a lane.

So a formula is written once, that of an optimiser in `rules.py`, say, and means the same for NumPy arrays, which is
how the tests know it, and for the registers of a kernel that is being generated.
"""

from functools import cache
from typing import Self

from llvmlite import ir
from numba.core import cgutils

from mlp_kernels.cpu.features import numba_target, vector_unit
from mlp_kernels.cpu.vector_ir import Vectors

CONTRACT = ("contract",)
"""LLVM may fuse a product and a sum into one multiply-add, which rounds once; it may assume nothing else."""


class Lanes:
    """One vector of `v.lanes` numbers; arithmetic emits code where the builder of `v` stands."""

    def __init__(self, v: Vectors, value: ir.Value) -> None:
        self.v, self.value = v, value

    def __add__(self, other: Self) -> Self:
        return self._new(self.v.builder.fadd(self.value, other.value, flags=CONTRACT))

    def __sub__(self, other: Self) -> Self:
        return self._new(self.v.builder.fsub(self.value, other.value, flags=CONTRACT))

    def __mul__(self, other: Self) -> Self:
        return self._new(self.v.builder.fmul(self.value, other.value, flags=CONTRACT))

    def __truediv__(self, other: Self) -> Self:
        return self._new(self.v.builder.fdiv(self.value, other.value))

    def sqrt(self) -> Self:
        """The square root, correctly rounded."""
        return self._new(self.v.call("llvm.sqrt", self.value))

    def divided_by(self, other: Self) -> Self:
        """`self / other` within two units in the last place, where that saves time; for normal, finite `other` only.

        The CPU's estimate of 1/y, good to 14 bits, is doubled in precision by Newton's step q (2 - y q). Division and
        `sqrt` share one slow unit, so beside a square root a division is what all else waits for.
        """
        if not has_reciprocal(self.v):
            return self / other
        q = other._reciprocal_estimate()
        one = self._new(self.v.constant(1.0))
        q = q + q * (one - other * q)
        return self * q

    def _reciprocal_estimate(self) -> Self:
        all_lanes = ir.IntType(max(8, self.v.lanes))
        kind = ir.FunctionType(self.v.type, [self.v.type, self.v.type, all_lanes])
        name = f"llvm.x86.avx512.rcp14.ps.{32 * self.v.lanes}"
        function = cgutils.get_or_insert_function(self.v.builder.module, kind, name)
        return self._new(self.v.builder.call(function, [self.value, self.v.constant(0.0), ir.Constant(all_lanes, -1)]))

    def _new(self, value: ir.Value) -> Self:
        return type(self)(self.v, value)


def has_reciprocal(v: Vectors) -> bool:
    """Whether the CPU estimates reciprocals of these vectors well enough for one Newton step: float32 with AVX-512."""
    return v.suffix in _reciprocals()


@cache
def _reciprocals() -> tuple[str, ...]:
    if vector_unit().name != "AVX-512":
        return ()
    _, features = numba_target()
    return ("v16f32", "v8f32", "v4f32") if "+avx512vl" in features else ("v16f32",)


class Words:
    """One vector of unsigned 64-bit integers, a word a lane: arithmetic wraps, and emits code as `Lanes` do."""

    def __init__(self, v: Vectors, value: ir.Value) -> None:
        self.v, self.value = v, value

    @classmethod
    def of(cls, v: Vectors, scalar: ir.Value) -> Self:
        """A 64-bit integer in every lane."""
        return cls(v, v.splat(scalar))

    @classmethod
    def constant(cls, v: Vectors, value: int) -> Self:
        """A constant in every lane."""
        return cls(v, ir.Constant(ir.VectorType(ir.IntType(64), v.lanes), [value] * v.lanes))

    def __add__(self, other: Self) -> Self:
        return self._new(self.v.builder.add(self.value, other.value))

    def __mul__(self, other: Self) -> Self:
        return self._new(self.v.builder.mul(self.value, other.value))

    def __and__(self, other: Self) -> Self:
        return self._new(self.v.builder.and_(self.value, other.value))

    def __xor__(self, other: Self) -> Self:
        return self._new(self.v.builder.xor(self.value, other.value))

    def __rshift__(self, other: Self) -> Self:
        return self._new(self.v.builder.lshr(self.value, other.value))

    def _new(self, value: ir.Value) -> Self:
        return type(self)(self.v, value)
