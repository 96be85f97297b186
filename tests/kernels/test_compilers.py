"""Parts of kernels become machine code within the kernels that call them, and nowhere else."""

import gc

import pytest
from numba import njit
from numba.core.codegen import JITCodeLibrary

from mlp_kernels.cpu import compiling


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
