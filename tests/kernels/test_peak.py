"""The machine probes do what they count, with threads and without."""

import numpy as np
import pytest
from numba import njit

from mlp_kernels.cpu import peak
from mlp_kernels.cpu.features import tile_for, vector_unit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_holds_nothing_but_the_multiply_adds_that_are_counted(dtype):
    unit = vector_unit()
    tile = tile_for(np.dtype(dtype))
    steps = 3
    result = peak._run_chains(tile, steps)
    a, b = (peak._operands(tile, *bounds)[:, 0].astype(float) for bounds in (peak.FACTORS, peak.SUMMANDS))
    chains = np.arange(peak._chains())
    x = 1.0 + chains
    for _ in range(steps):
        x = a[chains % len(a)] * x + b[chains // len(a) % len(b)]
    assert result == pytest.approx(x.sum())
    if not unit.fused or unit.name == "NEON":
        pytest.skip("the instruction below is x86's")
    fresh = njit(peak._run_chains.py_func)  # code from the cache can't be inspected
    fresh(tile, steps)
    (assembly,) = fresh.inspect_asm().values()
    letter = "s" if dtype == "float32" else "d"
    register = {512: "zmm", 256: "ymm", 128: "xmm"}[unit.bits]
    fused = [line for line in assembly.splitlines() if "vfmadd" in line and f"p{letter}" in line and register in line]
    assert len(fused) >= peak._chains()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rates_are_positive_finite_and_ordered(threads):
    for rate in (
        peak.measure_fma(np.float32, threads=threads, seconds=0.01),
        peak.measure_triad(threads=threads, seconds=0.01, megabytes=1),
    ):
        assert 0 < rate.median <= rate.best < np.inf
        assert rate.rounds >= 3


def test_the_triad_covers_every_element_for_any_thread_count():
    a, b, c = np.zeros(7), np.arange(7.0), np.ones(7)
    peak._triad(a, b, c, 3.0)
    np.testing.assert_array_equal(a, b + 3.0)


def test_a_failing_job_does_not_leave_the_other_threads_waiting():
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        peak._best_of([fail, lambda: None], units=1.0, seconds=0.01)
