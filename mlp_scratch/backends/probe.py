"""What a processor can do at most, measured: the two ceilings that every speed is a share of."""

from dataclasses import dataclass

from mlp_scratch import checks
from mlp_scratch.machine import available_memory, describe_cpu

SMALLEST_ARRAY = 128_000_000
"""Bytes. Several times the last-level cache of most machines."""


@dataclass(frozen=True)
class Peaks:
    """Multiply-adds in registers, in 1e9 floating-point operations a second, and the STREAM triad, in 1e9 bytes."""

    gflops: float
    gbytes_per_second: float


def peaks(dtype: object = "float32", threads: int = 1, *, seconds: float = 0.5) -> Peaks:
    """The best rates of `threads` threads; each of the two measurements takes about `seconds`.

    Args:
        dtype: "float32" or "float64", of the multiply-adds; the triad is float64 always.
        threads: how many run side by side.
        seconds: how long to measure.

    >>> peaks("float64", seconds=0.01).gflops > 0
    True
    """
    chosen = checks.float_dtype("dtype", dtype)
    count = checks.integer("threads", threads, at_least=1)
    from mlp_kernels.cpu.peak import fma_peak, triad_bandwidth  # loads Numba

    return Peaks(
        gflops=fma_peak(chosen, count, seconds=seconds),
        gbytes_per_second=triad_bandwidth(count, seconds=seconds, megabytes=_array_size() // 1_000_000),
    )


def _array_size() -> int:
    """Bytes for each array of the triad: four times the last-level cache (STREAM's rule), so that memory is measured.

    All three take a quarter of the free memory at most, or a machine that reports its host's cache would swap; but
    none less than `SMALLEST_ARRAY`.
    """
    cache = max((size for size in describe_cpu()["caches"].values() if size), default=0)
    return max(SMALLEST_ARRAY, min(4 * cache, available_memory() // 12))
