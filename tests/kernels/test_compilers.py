"""Parts of kernels become machine code within the kernels that call them, and nowhere else."""

import gc

import numpy as np
import pytest
from numba import njit
from numba.core.codegen import JITCodeLibrary

from mlp_kernels.cpu import compiling
from mlp_kernels.cpu.compilers import Abandoned, AddressLibrary, unless
from mlp_kernels.cpu.memory import number, store
from mlp_kernels.cpu.native import FLOATS, INT, address
from mlp_kernels.cpu.tile import Tile


@compiling.inlined
def squared(x):
    return x * x


@compiling.kernel
def area(r):
    return 3.0 * squared(r)


@compiling.kernel
def volume(r, h):
    return area(r) * h


def test_only_what_python_calls_becomes_machine_code(monkeypatch):
    compiled = []
    finalize = JITCodeLibrary._finalize_specific

    def noting(self):
        compiled.append(self.name)
        finalize(self)

    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", noting)
    volume._cache.flush()
    assert volume(2.0, 0.5) == 6.0
    assert [name for name in compiled if name in ("squared", "area", "volume")] == ["volume"]


def test_what_is_called_through_an_address_is_one_function(monkeypatch):
    code = []
    finalize = AddressLibrary._finalize_final_module

    def noting(self):
        code.append(str(self._final_module))
        finalize(self)

    monkeypatch.setattr(AddressLibrary, "_finalize_final_module", noting)

    def many_arguments(tile, a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int, to):
        for i in range(a):  # enough of a loop that LLVM would not make the two one by itself
            store(to, i, number(to, b + c * i + d * i**2 + e * i**3 + f * i**4 + g * i**5 + h * i**6))

    tile = Tile(np.dtype("float32"), lanes=4, rows=4, vectors=1)
    assert address(many_arguments, (*[INT] * 8, FLOATS), tile, kept=False)
    (text,) = code
    (whole,) = (part for part in text.split("\ndefine ") if "@cfunc." in part.splitlines()[0])
    head, *body = whole.split("\n}")[0].splitlines()
    assert "many_arguments" in head
    assert "many_arguments" not in "".join(body)


def test_a_part_can_be_called_as_well():
    assert volume(3.0, 1.0) == 27.0
    assert area(3.0) == 27.0
    assert njit(lambda r: area(r) + squared(r))(2.0) == 16.0


def test_a_part_that_raises_does_so_in_its_caller():
    @compiling.kernel
    def checked(n):
        if n < 0:
            raise ValueError("below zero")
        return n

    @compiling.kernel
    def twice(n):
        return 2 * checked(n)

    assert twice(4) == 8
    with pytest.raises(ValueError, match="below zero"):
        twice(-1)


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_compilation_is_given_up_between_parts_and_begun_again(parts):
    @compiling.kernel
    def half(x):
        return 0.5 * x

    @compiling.kernel
    def quarter(x):
        return half(half(x))

    begun = []

    def is_over():
        begun.append(len(begun))
        return len(begun) > parts

    quarter._cache.flush()
    with unless(is_over):
        if parts < 2:  # the whole, and `half`
            with pytest.raises(Abandoned):
                quarter(8.0)
        else:
            assert quarter(8.0) == 2.0
    assert begun == list(range(min(parts + 1, 2)))
    assert quarter(8.0) == 2.0


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_left_while_compiling_and_then_as_before(enabled, monkeypatch):
    during = []
    finalize = JITCodeLibrary._finalize_specific

    def noting(self):
        during.append(gc.isenabled())
        finalize(self)

    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", noting)

    @compiling.kernel
    def cubed(x):
        return x * squared(x)

    cubed._cache.flush()
    gc.enable() if enabled else gc.disable()
    try:
        assert cubed(2.0) == 8.0
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
    assert during
    assert not any(during)
