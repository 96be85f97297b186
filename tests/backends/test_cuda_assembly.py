"""The kernels of a training step as the real compiler makes them: no float64 in float32, no local memory, no call.

The simulator's rules of typing are Python's, so each kernel is compiled to PTX at least once. Skipped where numba-cuda
with its NVVM is not installed; registers and spills are checked where there is a `ptxas`.
"""

from functools import partial

import pytest
from numba import types

from mlp_kernels.cuda import assembly
from mlp_kernels.cuda.assembly import Configuration
from mlp_kernels.cuda.block_network import block_network_of
from mlp_kernels.cuda.grid_network import grid_network_of
from mlp_kernels.cuda.launched_network import launched_network_of
from mlp_kernels.cuda.matrix_network import matrix_network_of

THREADS = 128
REGISTERS = 65536
"""Of a multiprocessor, for all threads that it runs at once."""

INT = types.int64

KERNELS = {
    "block in shared memory": (lambda e: block_network_of(e, 2, True), (INT, INT)),
    "block": (lambda e: block_network_of(e, 2, False), (INT, INT)),
    "grid": (lambda e: grid_network_of(e, 4), (INT[::1], INT, INT)),
    "load": (lambda e: launched_network_of(e, 4)[0], ()),
    "save": (lambda e: launched_network_of(e, 4)[1], ()),
    "phase": (lambda e: launched_network_of(e, 4)[2], (INT, INT)),
    "turn": (lambda e: launched_network_of(e, 4)[3], ()),
    "finish": (matrix_network_of, (INT, INT)),
}
"""Every kernel, and its arguments behind the four arrays, of which `turn` takes the first."""

CASES = [
    *((name, types.float32, (9, 0)) for name in KERNELS),
    ("block in shared memory", types.float32, (8, 0)),
    ("grid", types.float32, (12, 0)),
    ("block in shared memory", types.float64, (9, 0)),
    ("finish", types.float64, (8, 0)),
]


def problems(counts: dict[str, int], is_double: bool) -> list[str]:
    """What is wrong with a kernel that has so many of each instruction."""
    wrong = [f"{name}: {counts[name]}" for name in ("local", "call") if counts[name]]
    return wrong + ([f"float64: {counts['float64']}"] if counts["float64"] and not is_double else [])


@pytest.mark.skipif(bool(assembly.missing()), reason=assembly.missing())
@pytest.mark.parametrize(("name", "element", "capability"), CASES, ids=lambda value: str(value).replace(", ", "."))
def test_what_the_compiler_makes(name, element, capability, monkeypatch):
    from numba.cuda import dispatcher

    monkeypatch.setattr(dispatcher, "get_current_device", dispatcher.get_current_device)  # `ptx_of` replaces it
    make, rest = KERNELS[name]
    arrays = (INT[::1], element[::1], element[::1], element[::1])
    arguments = arrays[:1] if name == "turn" else (*arrays, *rest)
    kernel = Configuration(name, "any", "any", THREADS, True, partial(make, element), arguments)
    ptx = assembly.ptx_of(kernel, capability)
    assert problems(assembly.count(ptx), element is types.float64) == []
    if ptxas := assembly.find_ptxas():
        registers, shared, spilled = assembly.assemble(ptx, capability, ptxas)
        assert spilled == 0
        assert registers * THREADS <= REGISTERS
        assert shared == 0  # what a block takes, it asks for at the launch


def test_the_check_catches():
    good = {"local": 0, "call": 0, "float64": 0}
    assert problems(good, False) == []
    assert problems(good | {"float64": 2}, True) == []
    for bad in ("local", "call", "float64"):
        assert problems(good | {bad: 1}, False) == [f"{bad}: 1"]
