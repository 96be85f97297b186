"""Measures every rung on a GPU, beside cuBLAS: `python -m mlp_kernels.cuda.ladder [--size 4096] [--write]`.

Each rung multiplies two square matrices that lie on the GPU. A round times cuBLAS at the rung's precision and then
the rung, with the GPU's own clock, so that both see the same frequency; a rung's share of cuBLAS is the median of its
rounds' shares. cuBLAS is PyTorch's or CuPy's, whichever is installed. `--write` puts the table into
`kernels/README.md` and the raw record into `benchmarks/results/` of a checkout. A rung that fails or is wrong has no
row there; it is named on standard error and in the record, and the exit code is 1.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
from numba import cuda

from mlp_kernels.cuda import coalesced, gemm, naive, register_tile, shared_tile
from mlp_kernels.cuda.availability import unavailability
from mlp_kernels.cuda.device import element_of

BEGIN, END = (
    "<!-- cuda ladder: begin, written by python -m mlp_kernels.cuda.ladder --write -->",
    "<!-- cuda ladder: end -->",
)
Run: TypeAlias = Callable[[], None]
EDGE = 32


def _plain(rung: Any, a: Any, b: Any, c: Any) -> Run:
    kernel = rung.make_kernel(element_of(c.dtype), EDGE)
    blocks, threads = rung.grid(*c.shape, EDGE)
    return lambda: kernel[blocks, threads](a, b, c)


def _register_tile(a: Any, b: Any, c: Any) -> Run:
    tile = gemm.TILES["float32"][0]
    x, y, z = (gemm.matrix(each) for each in (a, b, c))
    aligned = x.aligned and y.aligned and z.aligned
    kernel = register_tile.make_kernel(element_of(c.dtype), tile, aligned=aligned)
    blocks, threads = tile.grid(*c.shape)
    sizes = (z.rows, z.columns, x.columns, x.step, y.step, z.step)
    return lambda: kernel[blocks, threads](x.data, y.data, z.data, *sizes)


def _entry(precision: gemm.Precision, a: Any, b: Any, c: Any) -> Run:
    x, y, z = (gemm.matrix(each) for each in (a, b, c))
    return lambda: gemm.multiply(x, y, z, precision=precision)


RUNGS: dict[str, tuple[gemm.Precision, Callable[[Any, Any, Any], Run]]] = {
    "1 naive": ("float32", lambda a, b, c: _plain(naive, a, b, c)),
    "2 coalesced": ("float32", lambda a, b, c: _plain(coalesced, a, b, c)),
    "3 shared-memory tile": ("float32", lambda a, b, c: _plain(shared_tile, a, b, c)),
    "4 register tile": ("float32", _register_tile),
    "5 warp tile": ("float32", lambda a, b, c: _entry("float32", a, b, c)),
    "5 warp tile, float64": ("float64", lambda a, b, c: _entry("float64", a, b, c)),
    "6 tensor cores, 3xtf32": ("3xtf32", lambda a, b, c: _entry("3xtf32", a, b, c)),
    "6 tensor cores, tf32": ("tf32", lambda a, b, c: _entry("tf32", a, b, c)),
    "6 tensor cores, bf16": ("bf16", lambda a, b, c: _entry("bf16", a, b, c)),
}
"""Every rung's precision, and what prepares its launch from A, B and C on the GPU."""

ERROR = {"float32": 1e-4, "3xtf32": 1e-4, "tf32": 1e-2, "bf16": 1e-1, "float64": 1e-10}
"""How far a product may be off, relative to its largest element, before its speed counts for nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """One rung's speed, and cuBLAS's in the same rounds; None where there is no cuBLAS of that precision."""

    rung: str
    precision: str
    size: int
    rounds: int
    tflops: float
    tflops_p10: float
    tflops_p90: float
    cublas_tflops: float | None
    share_of_cublas: float | None


def cublas(precision: gemm.Precision, a: Any, b: Any) -> Run | None:
    """cuBLAS at a precision, float32 for 3xtf32, on matrices that lie on the GPU; None where none is installed."""
    if util.find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            x, y = (torch.as_tensor(each, device="cuda") for each in (a, b))
            if precision == "bf16":
                x, y = x.bfloat16(), y.bfloat16()
            out = torch.empty_like(x @ y)

            def run() -> None:
                torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
                torch.mm(x, y, out=out)

            return run
    if util.find_spec("cupy") is not None and precision not in ("tf32", "bf16"):
        import cupy  # type: ignore[import-not-found]

        left, right = cupy.asarray(a), cupy.asarray(b)
        return lambda: cupy.matmul(left, right)
    return None


def milliseconds(run: Run) -> float:
    """How long the GPU takes, by its own clock; on the stream that PyTorch and CuPy use, too.

    The clock starts behind a run that isn't counted: on an idle GPU it would count Python's launch of the one that is.
    """
    begin, end = cuda.event(), cuda.event()
    run()
    begin.record()
    run()
    end.record()
    end.synchronize()
    return float(cuda.event_elapsed_time(begin, end))


def check(rung: str, precision: str, a: Any, b: Any, c: Any) -> None:
    """Refuse a wrong product: C x = A (B x) for a random x, worked out in float64.

    Raises `ArithmeticError`.
    """
    x = np.random.default_rng(1).standard_normal(b.shape[1])
    wide_a, wide_b, wide_c = (each.astype(np.float64) for each in (a, b, c))
    expected = wide_a @ (wide_b @ x)
    off = np.abs(wide_c @ x - expected).max() / np.abs(expected).max()
    if not off <= ERROR[precision]:
        raise ArithmeticError(f"{rung}: the product is off by {off:.1e}, allowed {ERROR[precision]:.0e}")


def measure(rung: str, *, size: int, seconds: float, beside_cublas: bool = True) -> Record:
    """One rung's record, from at least three rounds and about `seconds`."""
    precision, prepare = RUNGS[rung]
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size)).astype(gemm.dtype_of(precision)) for _ in "ab")
    on_a, on_b = cuda.to_device(a), cuda.to_device(b)
    c = cuda.to_device(np.full_like(a, np.nan))
    run = prepare(on_a, on_b, c)
    other = cublas(precision, on_a, on_b) if beside_cublas else None
    run()  # compiles
    check(rung, precision, a, b, c.copy_to_host())
    if other:
        other()
    speeds: list[float] = []
    others: list[float] = []
    end = time.perf_counter() + seconds
    while len(speeds) < 3 or time.perf_counter() < end:
        if other:
            others.append(2e-9 * size**3 / milliseconds(other))
        speeds.append(2e-9 * size**3 / milliseconds(run))
    low, middle, high = np.percentile(speeds, [10, 50, 90]).tolist()
    share = median(ours / theirs for ours, theirs in zip(speeds, others, strict=True)) if others else None
    beside = median(others) if others else None
    return Record(rung, precision, size, len(speeds), middle, low, high, beside, share)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    gpu = cuda.get_current_device()
    name = gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name)
    installed: dict[str, str | None] = {}
    for package in ("numba", "numba-cuda", "torch", "cupy"):
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed[package] = None
    return {"gpu": name, "capability": list(gpu.compute_capability)} | installed


def table(records: list[Record], on: dict[str, Any]) -> str:
    """The records as Markdown, a row a rung."""
    lines = ["| rung | TFLOP/s | cuBLAS, TFLOP/s | % of cuBLAS |", "|---|---:|---:|---:|"]
    for one in records:
        beside = "-" if one.cublas_tflops is None else f"{one.cublas_tflops:.1f}"
        share = "-" if one.share_of_cublas is None else f"{100 * one.share_of_cublas:.1f}"
        lines.append(f"| {one.rung} | {one.tflops:.2f} | {beside} | {share} |")
    size = records[0].size
    versions = ", ".join(f"{name} {on[name]}" for name in ("numba", "numba-cuda", "torch", "cupy") if on[name])
    return "\n".join(lines) + f"\n\nMedians, {size} x {size} x {size}, {on['gpu']}; {versions}."


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlp_kernels.cuda.ladder", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="rows and columns of the matrices")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each rung")
    parser.add_argument("--write", action="store_true", help="write the README's table and the raw record")
    options = parser.parse_args(arguments)
    root = Path(__file__).resolve().parents[3]
    readme = root / "kernels" / "README.md"
    if options.write and not readme.is_file():
        parser.error(f"--write: {readme} is missing, expected a checkout of the project; run without --write")
    if reason := unavailability():
        parser.error(reason)
    records: list[Record] = []
    failed: dict[str, str] = {}
    for rung in RUNGS:
        try:
            records.append(measure(rung, size=options.size, seconds=options.seconds))
        except KeyboardInterrupt:
            failed[rung] = "interrupted"
            break
        except Exception as error:  # a wrong product, or whatever the compiler or the driver says: the others go on
            failed[rung] = f"{type(error).__name__}: {error}"
    for rung, reason in failed.items():
        sys.stderr.write(f"{rung} was not measured: {reason}\n")
    if not records:
        return 1
    on = machine()
    text = table(records, on)
    sys.stdout.write(text + "\n")
    if options.write:
        before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
        frame = {"schema": 1, "machine": on, "records": [asdict(record) for record in records], "failed": failed}
        path = root / "benchmarks" / "results" / on["gpu"].replace(" ", "-") / "cuda-ladder.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(frame, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
