"""What the compiler makes of the kernels, found out without a GPU: PTX text, registers, spills.

    python -m mlp_kernels.cuda.assembly                    a table of every production kernel
    python -m mlp_kernels.cuda.assembly --write            the same into kernels/README.md
    python -m mlp_kernels.cuda.assembly --json - --capability 8.0,12.0 --tiles largest

Compiling takes numba-cuda with its NVVM, and no driver; registers and spills take `ptxas`, from the package
nvidia-cuda-nvcc or a CUDA toolkit, not older than the NVVM. The simulator compiles nothing: run this without it.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from numba import types

from mlp_kernels.cuda import coalesced, gemm, naive, register_tile, shared_tile
from mlp_kernels.cuda.device import IS_SIMULATOR, device
from mlp_kernels.cuda.epilogues import Epilogue
from mlp_kernels.cuda.tiles import Tile

BEGIN = "<!-- assembly: begin, written by python -m mlp_kernels.cuda.assembly --write -->"
END = "<!-- assembly: end -->"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A kernel as it is used: what to compile, and for which block."""

    name: str
    layout: str
    block: str
    threads: int
    aligned: bool
    make: Callable[[], Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a configuration became; `registers` and after are None without `ptxas`."""

    name: str
    layout: str
    block: str
    threads: int
    aligned: bool
    capability: str
    counts: dict[str, int]
    registers: int | None
    shared_bytes: int | None
    spilled_bytes: int | None


COUNTED = {
    "fma.f32": r"\bfma\.rn\.f32",
    "fma.f64": r"\bfma\.rn\.f64",
    "mma.tf32": r"\bmma\.sync\.aligned\.m16n8k8\.row\.col\.f32\.tf32",
    "mma.bf16": r"\bmma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.bf16",
    "load.global.128": r"\bld\.global\.v(?:4\.[fb]32|2\.[fb]64)",
    "store.global.128": r"\bst\.global\.v(?:4\.[fb]32|2\.[fb]64)",
    "load.shared.128": r"\bld\.shared\.v(?:4\.[fb]32|2\.[fb]64)",
    "copy.128": r"\bcp\.async\.cg\.shared\.global \[\S+\], \[\S+\], 16",
    "copy.single": r"\bcp\.async\.ca\.shared\.global",
    "float64": r"\.f64\b",
    "local": r"\.local\b",
    "call": r"\bcall\b",
}
"""Instructions that are counted, as patterns of PTX."""


@device
def _relu(x: Any) -> Any:
    return x if x > 0 else x - x


@device
def _relu_slope(x: Any) -> Any:
    return types.float32(1.0) if x > 0 else types.float32(0.0)


EPILOGUES = {"NT": Epilogue("bias", _relu), "NN": Epilogue("slope", _relu_slope), "TN": Epilogue("adam")}
"""The three products of training: forward, gradient of the input, gradient of the weights with its update."""


def configurations(tiles: str = "all") -> Iterator[Configuration]:
    """Every kernel that `gemm` may choose, and the rungs below; "largest" is one tile of each precision."""
    square = (types.float32[:, ::1],) * 3
    for name, rung in [("naive", naive), ("coalesced", coalesced), ("shared tile", shared_tile)]:
        yield Configuration(name, "any", "32 x 32", 1024, True, partial(rung.make_kernel, types.float32), square)
    flat, sizes = types.float32[::1], (types.int64,) * 6
    tile = gemm.TILES["float32"][0]
    for layout in EPILOGUES:
        make = partial(register_tile.make_kernel, types.float32, tile, layout)
        yield Configuration("register tile", layout, _block(tile), tile.threads, True, make, (flat,) * 3 + sizes)
    for precision, choices in gemm.TILES.items():
        flat = types.float64[::1] if precision == "float64" else types.float32[::1]
        for tile in choices if tiles == "all" else choices[:1]:
            for aligned in (True, False):
                for layout, epilogue in EPILOGUES.items():
                    make = partial(gemm.kernel_for, precision, tile, layout, epilogue)
                    make = partial(make, aligned=aligned, row_sums=layout == "TN")
                    arguments = (flat,) * 7 + sizes
                    yield Configuration(precision, layout, _block(tile), tile.threads, aligned, make, arguments)


def _block(tile: Tile) -> str:
    return f"{tile.rows} x {tile.columns} x {tile.depth}"


def missing() -> str:
    """Why nothing can be compiled here; empty if it can."""
    if IS_SIMULATOR:
        return "Numba's simulator compiles nothing: unset NUMBA_ENABLE_CUDASIM"
    if util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: pip install 'numba-cuda[cu13]'"
    try:
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:  # whatever a missing or broken library raises
        return f"NVVM can't be loaded ({str(error).splitlines()[0]}): pip install 'numba-cuda[cu13]'"
    return ""


def ptx_of(configuration: Configuration, capability: tuple[int, int]) -> str:
    """The PTX of a kernel for a compute capability, without a GPU."""
    from numba import cuda
    from numba.cuda import dispatcher

    # Device functions are compiled for the current device, whatever the kernel is compiled for; here is none.
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    kernel = configuration.make()
    options = {"launch_bounds": (configuration.threads, 1)}
    text, _ = cuda.compile_ptx(kernel.py_func, configuration.arguments, cc=capability, **options)
    return str(text)


def count(ptx: str) -> dict[str, int]:
    r"""How often each of COUNTED occurs in the bodies of kernels.

    >>> count(".visible .entry f(.param .u64 a)\n{\n\tfma.rn.f32 %f1, %f2, %f3, %f4;\n}")["fma.f32"]
    1
    """
    body = ptx[ptx.find("{\n") :]
    return {name: len(re.findall(pattern, body)) for name, pattern in COUNTED.items()}


def find_ptxas() -> str | None:
    """The assembler: that of the package nvidia-cuda-nvcc, which fits the NVVM beside it, or one on the path."""
    spec = util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for found in sorted(Path(folder).glob("*/bin/ptxas")):
            return str(found)
    return shutil.which("ptxas")


def assemble(ptx: str, capability: tuple[int, int], ptxas: str) -> tuple[int, int, int]:
    """Registers of a thread, bytes of shared memory of a block, bytes spilled; by `ptxas`.

    Raises `RuntimeError` with its message where it refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        arguments = [ptxas, f"-arch=sm_{capability[0]}{capability[1]}", "-v", str(source), "-o", f"{folder}/out"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ptxas: {done.stderr.strip()}")
    return read_report(done.stderr)


def read_report(text: str) -> tuple[int, int, int]:
    """Registers, bytes of shared memory and bytes spilled from what `ptxas -v` says.

    >>> read_report("0 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads Used 32 registers, 512 bytes smem")
    (32, 512, 12)
    """

    def total(pattern: str) -> int:
        return sum(int(number) for number in re.findall(pattern, text))

    registers = re.search(r"Used (\d+) registers", text)
    if registers is None:
        raise RuntimeError(f"ptxas: no registers in its report: {text.strip()}")
    return int(registers[1]), total(r"(\d+) bytes smem"), total(r"(\d+) bytes spill (?:stores|loads)")


def listing(configuration: Configuration, capability: tuple[int, int], ptxas: str | None) -> Listing:
    """Compile a configuration and look at the result."""
    ptx = ptx_of(configuration, capability)
    resources = assemble(ptx, capability, ptxas) if ptxas else (None, None, None)
    c = configuration
    name = f"{capability[0]}.{capability[1]}"
    return Listing(c.name, c.layout, c.block, c.threads, c.aligned, name, count(ptx), *resources)


def table(listings: list[Listing]) -> str:
    """Markdown: one row for each kernel that is launched with aligned rows, and its registers by capability."""
    capabilities = list(dict.fromkeys(one.capability for one in listings))
    header = ["kernel", "block", "threads", *(f"registers at {each}" for each in capabilities), "shared KB", "spills"]
    lines = ["| " + " | ".join(header) + " |", "|---|---|" + "---:|" * (len(header) - 2)]
    rows: dict[tuple[str, str, int], list[Listing]] = {}
    for one in listings:
        if one.aligned:
            rows.setdefault((one.name, one.block, one.threads), []).append(one)
    for (name, block, threads), group in rows.items():
        registers = {(one.capability, one.layout): str(one.registers) for one in group}
        cells = [
            ", ".join(registers[each, layout] for layout in ("NN", "NT", "TN", "any") if (each, layout) in registers)
            for each in capabilities
        ]
        shared = max(one.shared_bytes or 0 for one in group) / 1024
        spills = sum(one.spilled_bytes or 0 for one in group)
        lines.append(f"| {name} | {block} | {threads} | {' | '.join(cells)} | {shared:.1f} | {spills} |")
    return "\n".join(lines) + (
        f"\n\nFor compute capability {', '.join(capabilities)}, by numba-cuda {metadata.version('numba-cuda')} and "
        f"{_ptxas_version()}.\nRegisters of NN, NT, TN: NT with bias and ReLU, NN with ReLU's slope, TN with Adam and "
        "the bias gradient."
    )


def _ptxas_version() -> str:
    done = subprocess.run([str(find_ptxas()), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"release \S+ V(\S+)", done.stdout)
    return f"ptxas {found[1] if found else 'of unknown version'}"


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlp_kernels.cuda.assembly", description=__doc__.splitlines()[0])
    parser.add_argument("--capability", default="8.0,9.0,12.0", help="compute capabilities, with commas between them")
    parser.add_argument("--tiles", choices=["all", "largest"], default="all", help="tiles of each precision")
    parser.add_argument("--json", metavar="FILE", help="write the listings there, or to - for the standard output")
    parser.add_argument("--write", action="store_true", help="write the table of kernels/README.md")
    options = parser.parse_args(arguments)
    if reason := missing():
        parser.error(reason)
    ptxas = find_ptxas()
    capabilities = [tuple(map(int, text.split("."))) for text in options.capability.split(",")]
    listings = [
        listing(configuration, (major, minor), ptxas)
        for major, minor in capabilities
        for configuration in configurations(options.tiles)
    ]
    if options.json:
        text = json.dumps({"schema": 1, "listings": [asdict(one) for one in listings]}, indent=1) + "\n"
        sys.stdout.write(text) if options.json == "-" else Path(options.json).write_text(text, encoding="utf-8")
        return 0
    if ptxas is None:
        parser.error("ptxas was not found, expected it beside numba-cuda or on the path; pip install nvidia-cuda-nvcc")
    sys.stdout.write(table(listings) + "\n")
    if options.write:
        readme = Path(__file__).resolve().parents[2] / "README.md"
        before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        readme.write_text(f"{before}{BEGIN}\n{table(listings)}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
