"""From a kernel to PTX and on to machine code, on a machine without a GPU.

PTX takes numba-cuda with its NVVM, and no driver; registers and spills take `ptxas`, from the package
nvidia-cuda-nvcc or a CUDA toolkit, not older than the NVVM. The simulator compiles nothing.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from types import SimpleNamespace

from mlp_kernels.cuda.assembly.listings import Capability, Configuration, Listing, count
from mlp_kernels.cuda.device import IS_SIMULATOR

INSTALL = "pip install 'numba-cuda[cu13]' 'cuda-toolkit[nvcc]'"
"""What brings all of it, NVVM and `ptxas` of one version."""


def missing() -> str:
    """Why nothing can be compiled here; empty if it can."""
    if IS_SIMULATOR:
        return "Numba's simulator compiles nothing: unset NUMBA_ENABLE_CUDASIM"
    if util.find_spec("numba_cuda") is None:
        return f"numba-cuda is not installed: {INSTALL}"
    try:
        from numba.cuda.cudadrv.nvvm import NVVM

        NVVM()
    except Exception as error:  # whatever a missing or broken library raises
        return f"NVVM can't be loaded ({str(error).splitlines()[0]}): {INSTALL}"
    return ""


def architecture(capability: Capability) -> tuple[int, int, str]:
    """What Numba compiles for on a GPU of this capability: from 9.0 on with what only that one has.

    >>> architecture((8, 0)), architecture((9, 0))
    ((8, 0, ''), (9, 0, 'a'))
    """
    return (*capability, "a" if capability >= (9, 0) else "")


def ptx_of(configuration: Configuration, capability: Capability) -> str:
    """The PTX of a kernel for a compute capability, with the options that it is launched with."""
    from numba import cuda

    kernel = configuration.make()
    options = {name: kernel.targetoptions[name] for name in ("launch_bounds", "fastmath")}
    with _a_gpu_of(capability):
        text, _ = cuda.compile_ptx(
            kernel.py_func, configuration.arguments, cc=architecture(capability), debug=False, opt=True, **options
        )
    return str(text)


@contextmanager
def _a_gpu_of(capability: Capability) -> Iterator[None]:
    """Device functions are compiled for the current device, whatever the kernel is compiled for; here is none."""
    from numba.cuda import dispatcher

    before = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = before


def find_ptxas() -> str | None:
    """The assembler: that of the package nvidia-cuda-nvcc, which fits the NVVM beside it, or one on the path."""
    spec = util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for found in sorted(Path(folder).glob("*/bin/ptxas")):
            return str(found)
    return shutil.which("ptxas")


def version_of(ptxas: str) -> str:
    """The version of an assembler."""
    done = subprocess.run([ptxas, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"release \S+ V(\S+)", done.stdout)
    return found[1] if found else "of unknown version"


def assemble(ptx: str, capability: Capability, ptxas: str) -> tuple[int, int, int]:
    """Registers of a thread, bytes of shared memory of a block, bytes spilled; by `ptxas`.

    Raises `RuntimeError` with its message where it refuses.
    """
    major, minor, only = architecture(capability)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        arguments = [ptxas, f"-arch=sm_{major}{minor}{only}", "-v", str(source), "-o", f"{folder}/out"]
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


def listing(configuration: Configuration, capability: Capability, ptxas: str | None) -> Listing:
    """Compile a configuration and look at the result."""
    ptx = ptx_of(configuration, capability)
    resources = assemble(ptx, capability, ptxas) if ptxas else ()
    return Listing(capability, count(ptx), *resources)
