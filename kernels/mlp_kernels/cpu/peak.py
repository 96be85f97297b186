"""What this machine could do: multiply-adds a second in registers, and bytes a second from memory.

Every speed in this project is stated as a share of these two. Both are measured, not looked up: clocks
change with temperature and neighbours, so measure them in the same run as what is compared with them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.features import tile_for, vector_unit
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate in units of 1e9 a second: its best and median over `rounds` repetitions."""

    best: float
    median: float
    rounds: int


def fma_peak(dtype: Any, threads: int = 1, *, seconds: float = 0.5) -> float:
    """The best rate of fused multiply-adds in registers, in GFLOP/s; each counts as two operations.

    `dtype` is float32 or float64. On a CPU without FMA it is a multiplication and an addition. The best of
    the rounds is returned, since neighbours can only slow a round; `measure_fma` gives the spread too.

    >>> fma_peak("float32", seconds=0.02) > 0
    True
    """
    return measure_fma(dtype, threads=threads, seconds=seconds).best


def triad_bandwidth(threads: int = 1, *, seconds: float = 0.5, megabytes: int = 128) -> float:
    """The best rate of the STREAM triad `a = b + s*c` in float64, in GB/s (1e9 bytes).

    Three streams are counted, 24 bytes an element: the line of `a` that most CPUs read before they write it
    is not. Each array has `megabytes` (1e6 bytes), which must be several times the last-level cache.
    McCalpin, "Memory bandwidth and machine balance in current high performance computers", 1995.

    >>> triad_bandwidth(seconds=0.02, megabytes=1) > 0
    True
    """
    return measure_triad(threads=threads, seconds=seconds, megabytes=megabytes).best


def measure_fma(dtype: Any, *, threads: int = 1, seconds: float = 0.5) -> Rate:
    """The rate of `fma_peak` with its spread."""
    tile = tile_for(np.dtype(dtype))
    flops_per_step = 2 * tile.lanes * _chains()
    steps = _steps_for(0.005, lambda count: _run_chains(tile, count))
    work = [partial(_run_chains, tile, steps)] * threads
    return _best_of(work, units=float(threads * steps * flops_per_step), seconds=seconds)


def measure_triad(*, threads: int = 1, seconds: float = 0.5, megabytes: int = 128) -> Rate:
    """The rate of `triad_bandwidth` with its spread."""
    size = megabytes * 1_000_000 // 8
    a, b, c = np.zeros(size), np.ones(size), np.ones(size)
    parts = np.array_split(np.arange(size + 1), threads)
    bounds = [(int(part[0]), min(size, int(part[-1]) + 1)) for part in parts]
    _triad(a[:0], b[:0], c[:0], 3.0)
    work = [partial(_triad, a[low:high], b[low:high], c[low:high], 3.0) for low, high in bounds]
    return _best_of(work, units=24.0 * size, seconds=seconds)


FACTORS, SUMMANDS = (0.2, 0.8), (-1.0, 1.0)
"""The bounds of a and of b in x = a*x + b; factors below 1 keep every chain finite."""


def _chains() -> int:
    """Independent accumulators: 24 of 32 registers or 12 of 16, beyond latency x units of any known core."""
    return 3 * vector_unit().registers // 4


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _fma_chains(_context: Any, tile: Any, steps: Any) -> Any:
    """`steps` times x = a*x + b in every lane of every chain; returns one lane, so that nothing is dropped.

    a and b differ from lane to lane and from chain to chain, as real data do. The same constant everywhere would
    switch few of the multiplier's transistors, and processors that clock by the power they draw would then show a
    peak that no real product can reach: 5 % higher on a Zen 4.
    """
    signature = from_dtype(tile.value.dtype)(tile, types.int64)
    chains = _chains()

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        vectors = Vectors(builder, tile.value)
        a, b = (
            [ir.Constant(vectors.type, [float(x) for x in row]) for row in _operands(tile.value, *bounds)]
            for bounds in (FACTORS, SUMMANDS)
        )
        before = builder.block
        loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        step = builder.phi(ir.IntType(64))
        step.add_incoming(index(0), before)
        values = []
        for chain in range(chains):  # different starts: equal chains would be merged into one
            value = builder.phi(vectors.type)
            value.add_incoming(vectors.constant(1.0 + chain), before)
            values.append(value)
        results = [
            vectors.multiply_add(value, a[i % len(a)], b[i // len(a) % len(b)]) for i, value in enumerate(values)
        ]
        for value, result in zip(values, results, strict=True):
            value.add_incoming(result, loop)
        following = builder.add(step, index(1))
        step.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[1]), loop, after)
        builder.position_at_end(after)
        total = results[0]
        for result in results[1:]:
            total = builder.fadd(total, result)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return signature, generate


def _operands(tile: Tile, low: float, high: float) -> Array:
    """Constants between two bounds, a row a vector: a few, for which the chains leave registers."""
    count = max(1, vector_unit().registers // 8 - 1)
    return np.random.default_rng(0).uniform(low, high, (count, tile.lanes)).astype(tile.dtype)


@kernel
def _run_chains(tile: Tile, steps: int) -> float:
    return _fma_chains(tile, steps)


@kernel
def _triad(a: Array, b: Array, c: Array, scale: float) -> None:
    for i in range(a.size):
        a[i] = b[i] + scale * c[i]


def _steps_for(seconds: float, run: Callable[[int], object]) -> int:
    """How many steps take about `seconds`, by doubling."""
    steps = 1024
    run(1)  # compiles
    while True:
        start = time.perf_counter()
        run(steps)
        if time.perf_counter() - start >= seconds:
            return steps
        steps *= 2


def _best_of(work: Sequence[Callable[[], object]], *, units: float, seconds: float) -> Rate:
    """Run the jobs side by side, a thread each, for about `seconds` and at least three rounds.

    A round lasts from the first job's start to the last one's end; the threads meet before each round.
    """
    meet = threading.Barrier(len(work))
    rounds = 0

    def worker(job: Callable[[], object]) -> list[tuple[float, float]]:
        nonlocal rounds
        times: list[tuple[float, float]] = []
        begin = time.perf_counter()
        while True:
            # One thread decides for all, else one could leave the others waiting.
            if meet.wait() == 0:
                rounds += len(times) < 3 or time.perf_counter() - begin < seconds
            meet.wait()
            if rounds == len(times):
                return times
            start = time.perf_counter()
            try:
                job()
            except BaseException:
                meet.abort()  # or the other threads would wait for ever
                raise
            times.append((start, time.perf_counter()))

    with ThreadPoolExecutor(len(work)) as pool:
        by_thread = list(pool.map(worker, work))
    rates = [
        units / (max(end for _, end in one_round) - min(start for start, _ in one_round)) / 1e9
        for one_round in zip(*by_thread, strict=True)
    ]
    return Rate(max(rates), median(rates), len(rates))
