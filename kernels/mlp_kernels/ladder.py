"""Measures every rung of the ladder beside the machine's peak: `python -m mlp_kernels.ladder [--write]`.

Each rung multiplies two square matrices with one thread. A round measures the peak of multiply-adds and then
the rung, so that both see the same clock; a rung's share of the peak is the median of its rounds' shares. Time
is the thread's processor time and the peak the best of three tries, so that what else runs on the machine
counts as little as can be. `--write` puts the table into `kernels/README.md` and the raw record into
`benchmarks/results/` of a checkout.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import llvmlite.binding as llvm
import numba
import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu import naive, packed, tiled
from mlp_kernels.cpu.features import tile_for, vector_unit
from mlp_kernels.cpu.gemm import gemm
from mlp_kernels.cpu.peak import measure_fma

Array: TypeAlias = npt.NDArray[Any]
BEGIN, END = "<!-- ladder: begin, written by python -m mlp_kernels.ladder --write -->", "<!-- ladder: end -->"


def _product(a: Array, b: Array, bias: Array, out: Array) -> None:
    gemm(a, b, out)


def _product_then_numpy(a: Array, b: Array, bias: Array, out: Array) -> None:
    gemm(a, b, out)
    out += bias
    np.maximum(out, 0, out=out)


def _fused(a: Array, b: Array, bias: Array, out: Array) -> None:
    gemm(a, b, out, bias=bias, activation="relu")


RUNGS: dict[str, Callable[[Array, Array, Array, Array], None]] = {
    "1 naive": lambda a, b, bias, out: naive.multiply(a, b, out),
    "2 cache-tiled": lambda a, b, bias, out: tiled.multiply(a, b, out),
    "3 packed": lambda a, b, bias, out: packed.multiply(a, b, out),
    "4 register tile": _product,
    "4 and bias, ReLU by NumPy": _product_then_numpy,
    "5 fused bias, ReLU": _fused,
}


@dataclass(frozen=True, slots=True)
class Record:
    """One rung's speed: GFLOP/s of the product alone, whatever else was done; peak measured in the same rounds."""

    rung: str
    size: int
    dtype: str
    threads: int
    rounds: int
    gflops: float
    gflops_p10: float
    gflops_p90: float
    peak_gflops: float
    share_of_peak: float


def measure(rung: str, dtype: str, *, size: int = 1024, seconds: float = 3.0) -> Record:
    """One rung's record from at least three rounds and about `seconds`.

    >>> record = measure("5 fused bias, ReLU", "float32", size=64, seconds=0.01)
    >>> 0 < record.gflops_p10 <= record.gflops <= record.gflops_p90
    True
    """
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(dtype) for _ in "ab")
    bias, out = np.zeros(size, dtype), np.empty((size, size), dtype)
    run = RUNGS[rung]
    run(a, b, bias, out)  # compiles
    if not np.isfinite(out).all():
        raise ArithmeticError(f"{rung}: the product is not finite")
    speeds: list[float] = []
    peaks: list[float] = []
    end = time.perf_counter() + seconds
    while len(speeds) < 3 or time.perf_counter() < end:
        peaks.append(measure_fma(dtype, seconds=0.01).best)
        start = time.thread_time_ns()
        run(a, b, bias, out)
        speeds.append(2 * size**3 / max(1, time.thread_time_ns() - start))
    low, middle, high = np.percentile(speeds, [10, 50, 90]).tolist()
    share = median(speed / peak for speed, peak in zip(speeds, peaks, strict=True))
    return Record(rung, size, dtype, 1, len(speeds), middle, low, high, median(peaks), share)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cpu": llvm.get_host_cpu_name(),
        "vector_unit": vector_unit().name,
        "cores": os.cpu_count(),
        "tile": {dtype: str(tile_for(np.dtype(dtype))) for dtype in ("float32", "float64")},
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
    }


def table(records: list[Record], on: dict[str, Any]) -> str:
    """The records as Markdown, a row a rung, its dtypes side by side."""
    dtypes = list(dict.fromkeys(record.dtype for record in records))
    by_rung: dict[str, list[Record]] = {}
    for record in records:
        by_rung.setdefault(record.rung, []).append(record)
    peaks = [median(record.peak_gflops for record in records if record.dtype == dtype) for dtype in dtypes]
    lines = [
        "| rung | " + " | ".join(f"{dtype}, GFLOP/s | % of peak" for dtype in dtypes) + " |",
        "|---|" + "---:|---:|" * len(dtypes),
    ]
    for rung, each in by_rung.items():
        cells = [f"{record.gflops:.1f} | {100 * record.share_of_peak:.1f}" for record in each]
        lines.append(f"| {rung} | " + " | ".join(cells) + " |")
    lines.append("| peak of multiply-adds in registers | " + " | ".join(f"{peak:.1f} | 100" for peak in peaks) + " |")
    size = records[0].size
    return "\n".join(lines) + (
        f"\n\nMedians of processor time, {size} x {size} x {size}, one thread, {on['cpu']} with {on['vector_unit']}, "
        f"{on['cores']} cores; load average before the run {on['load_average']:.1f}. "
        f"Python {on['python']}, NumPy {on['numpy']}, "
        f"Numba {on['numba']}."
    )


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlp_kernels.ladder", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="rows and columns of the matrices")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each rung and dtype")
    parser.add_argument("--write", action="store_true", help="write the README's table and the raw record")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[2]
    readme, results = root / "kernels" / "README.md", root / "benchmarks" / "results"
    if options.write and not readme.is_file():
        parser.error(f"--write: {readme} is missing, expected a checkout of the project; run without --write")
    on = machine()
    records = [
        measure(rung, dtype, size=options.size, seconds=options.seconds)
        for rung in RUNGS
        for dtype in ("float32", "float64")
    ]
    text = table(records, on)
    sys.stdout.write(text + "\n")
    if options.write:
        before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
        frame = {"schema": 1, "machine": on, "records": [asdict(record) for record in records]}
        path = results / on["cpu"] / "ladder.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(frame, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
