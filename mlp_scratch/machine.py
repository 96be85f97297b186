"""What this machine is: processor, memory, BLAS, GPU, versions. Looked up, not measured, in a few milliseconds."""

import ctypes
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from threadpoolctl import threadpool_info

PACKAGES = ("mlp-scratch", "numpy", "numba", "numba-cuda", "scipy", "torch", "jax", "keras", "scikit-learn")

SIMD_LEVELS = (
    ("AVX-512", {"avx512f"}),
    ("AVX2+FMA", {"avx2", "fma"}),
    ("AVX", {"avx"}),
    ("SSE", {"sse2"}),
    ("SVE", {"sve"}),
    ("NEON", {"asimd"}),
    ("NEON", {"neon"}),
)
"""The widest vector instructions first, each with the processor flags that stand for them."""

CPU_ROOT = Path("/sys/devices/system/cpu/cpu0")
CPU_FILE = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, Any]:
    """The machine in JSON's types: sizes in bytes, None where something cannot be known.

    Without a GPU `gpus` is empty and `no_gpu` says why; a package that is not installed has the version None.

    >>> sorted(describe_machine())
    ['blas', 'cpu', 'gpus', 'memory', 'no_gpu', 'system', 'versions']
    """
    memory = psutil.virtual_memory()
    gpus, no_gpu = find_gpus()
    return {
        "system": platform.platform(),
        "cpu": describe_cpu() | {"cores": count_cores()},
        "memory": {"total": memory.total, "available": memory.available},
        "blas": describe_blas(),
        "gpus": gpus,
        "no_gpu": no_gpu,
        "versions": {"python": platform.python_version()} | {name: installed(name) for name in PACKAGES},
    }


def available_memory() -> int:
    """Bytes that a program can take without swapping.

    >>> available_memory() > 0
    True
    """
    return int(psutil.virtual_memory().available)


def usable_cores() -> int:
    """How many cores this process may run on, which a scheduler can have limited.

    >>> 1 <= usable_cores() <= os.cpu_count()
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_cores() -> dict[str, int | None]:
    """Cores by three counts: physical ones, logical ones (with hyper-threads), and those this process may use."""
    return {"physical": psutil.cpu_count(logical=False), "logical": os.cpu_count(), "usable": usable_cores()}


def describe_cpu() -> dict[str, Any]:
    """The processor's name, architecture, vector instructions, and caches in bytes as one core sees them."""
    fields: dict[str, str] = {}
    if CPU_FILE.exists():
        for line in CPU_FILE.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip().lower(), value.strip())
    model, flags = fields.get("model name"), fields.get("flags") or fields.get("features") or ""
    caches = read_caches(CPU_ROOT)
    if model is None or not flags or not caches:
        from cpuinfo import get_cpu_info  # asks other programs for a second or so: only where Linux's files fall short

        info = get_cpu_info()
        model, flags = model or info.get("brand_raw"), flags or " ".join(info.get("flags", ()))
        asked = {"l1d": "l1_data_cache_size", "l2": "l2_cache_size", "l3": "l3_cache_size"}
        caches = caches or {level: info.get(key) for level, key in asked.items()}
    return {"model": model, "architecture": platform.machine(), "simd": simd_level(flags), "caches": caches}


def simd_level(flags: str) -> str | None:
    """The widest vector instructions among a processor's flags.

    >>> simd_level("fpu sse2 avx avx2 fma"), simd_level("fp asimd"), simd_level("")
    ('AVX2+FMA', 'NEON', None)
    """
    given = set(flags.split())
    return next((name for name, needed in SIMD_LEVELS if needed <= given), None)


def read_caches(cpu: Path) -> dict[str, int | None]:
    """Sizes of the L1 data, L2 and L3 cache of the core at `cpu`, a folder as Linux lays it out; {} without one."""
    sizes: dict[str, int] = {}
    for folder in cpu.glob("cache/index*"):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction":
                sizes["l1d" if level == "1" else f"l{level}"] = _bytes(size)
        except (OSError, ValueError):
            continue  # virtual machines may leave out any of them
    return {level: sizes.get(level) for level in ("l1d", "l2", "l3")} if sizes else {}


def _bytes(size: str) -> int:
    """A size as Linux writes it: "48K" is 48 · 1024."""
    return int(size.rstrip("KMG")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1:], 1)


def describe_blas() -> list[dict[str, Any]]:
    """The BLAS libraries that are loaded, NumPy's own among them."""
    return [
        {
            "library": pool["internal_api"],
            "version": pool["version"],
            "architecture": pool.get("architecture"),
            "threads": pool["num_threads"],
        }
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


def installed(package: str) -> str | None:
    """The version of a package, without importing it; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# From cuda.h: the attributes of a device that a roofline needs. NVIDIA's command-line tool has no bus width.
GPU_ATTRIBUTES = {"sms": 16, "memory_bus_bits": 37}
COMPUTE_CAPABILITY = (75, 76)


def find_gpus(driver: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """The NVIDIA GPUs, and where there are none the reason.

    The driver's own library is asked: it comes with every driver, needs no Python package, and being asked makes no
    context on the device.
    """
    library = driver or ("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return [], f"no NVIDIA driver: {library} is not there"
    count, code = ctypes.c_int(), cuda.cuInit(0)
    code = code or cuda.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        return [], f"the NVIDIA driver finds no usable GPU: {_cuda_error(cuda, code) if code else 'none is visible'}"
    return [_describe_gpu(cuda, number) for number in range(count.value)], ""


def _describe_gpu(cuda: ctypes.CDLL, number: int) -> dict[str, Any]:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    cuda.cuDeviceGet(ctypes.byref(device), number)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        cuda.cuDeviceGetAttribute(ctypes.byref(value), number, device)
        return value.value

    return {
        "name": name.value.decode(errors="replace"),
        "memory": memory.value,
        "compute_capability": ".".join(str(attribute(part)) for part in COMPUTE_CAPABILITY),
        **{key: attribute(number) for key, number in GPU_ATTRIBUTES.items()},
    }


def _cuda_error(cuda: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(code, ctypes.byref(text))
    return f"{(text.value or b'unknown error').decode(errors='replace')} (CUDA error {code})"
