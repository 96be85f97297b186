"""What a machine is found to be."""

import json
import os
import shutil
import subprocess
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest

from mlp_scratch import machine
from mlp_scratch.backends import probe
from mlp_scratch.errors import ArgumentError


def test_the_description_is_json():
    found = machine.describe_machine()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_numpy_and_its_blas_are_found():
    found = machine.describe_machine()
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["python"] == "{}.{}.{}".format(*sys.version_info)
    assert all(set(blas) == {"library", "version", "architecture", "threads"} for blas in found["blas"])
    assert found["memory"]["total"] >= found["memory"]["available"] > 0


def test_a_package_that_is_not_installed_has_no_version():
    assert machine.installed("no-such-package") is None


def test_looking_imports_no_framework():
    code = "import sys; from mlp_scratch.machine import describe_machine; describe_machine(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "psutil" in loaded
    assert not {"numba", "torch", "jax", "keras", "sklearn", "scipy"} & set(loaded)


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("fpu sse2 avx avx2 fma avx512f", "AVX-512"),
        ("sse2 avx avx2 fma", "AVX2+FMA"),
        ("sse2 avx avx2", "AVX"),
        ("sse2", "SSE"),
        ("fp asimd sve", "SVE"),
        ("fp asimd", "NEON"),
        ("half neon vfpv4", "NEON"),
        ("avx512fp16 xsse2", None),
    ],
)
def test_simd_level(flags, level):
    assert machine.simd_level(flags) == level


def caches(folder, rows):
    for i, (level, kind, size) in enumerate(rows):
        index = folder / "cache" / f"index{i}"
        index.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size)):
            if text is not None:
                (index / name).write_text(f"{text}\n")


def test_caches(tmp_path):
    caches(tmp_path, [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"),
                      ("3", "Unified", "32M")])  # fmt: skip
    assert machine.read_caches(tmp_path) == {"l1d": 48 << 10, "l2": 1 << 20, "l3": 32 << 20}


def test_caches_that_are_described_in_part(tmp_path):
    caches(tmp_path, [("1", "Data", "48K"), ("2", "Unified", None), ("3", "Unified", "")])
    assert machine.read_caches(tmp_path) == {"l1d": 48 << 10, "l2": None, "l3": None}
    assert machine.read_caches(tmp_path / "none") == {}


def test_a_processor_as_linux_describes_it(tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: sse2 avx avx2 fma\n")
    caches(tmp_path, [("1", "Data", "32K")])
    monkeypatch.setattr(machine, "CPU_FILE", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "CPU_ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "cpuinfo", None)  # not needed
    found = machine.describe_cpu()
    assert (found["model"], found["simd"]) == ("Some CPU @ 3 GHz", "AVX2+FMA")
    assert found["caches"] == {"l1d": 32 << 10, "l2": None, "l3": None}


def test_a_processor_of_another_system(tmp_path, monkeypatch):
    info = {"brand_raw": "Apple M9", "flags": ["neon"], "l2_cache_size": 4 << 20}
    monkeypatch.setattr(machine, "CPU_FILE", tmp_path / "none")
    monkeypatch.setattr(machine, "CPU_ROOT", tmp_path / "none")
    monkeypatch.setitem(sys.modules, "cpuinfo", SimpleNamespace(get_cpu_info=lambda: info))
    found = machine.describe_cpu()
    assert (found["model"], found["simd"]) == ("Apple M9", "NEON")
    assert found["caches"] == {"l1d": None, "l2": 4 << 20, "l3": None}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinities")
def test_cores_are_those_that_the_process_may_use():
    one = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{one}}}); from mlp_scratch import machine; print(machine.usable_cores())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_no_driver_is_a_reason():
    assert machine.find_gpus("libnothing.so.9") == ([], "no NVIDIA driver: libnothing.so.9 is not there")


DRIVER = r"""
#include <stddef.h>
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 7; return 0; }
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device == 7 ? "first" : "second", length);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)141 << 30; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 16 ? 132 : attribute == 37 ? 6144 : attribute == 75 ? 9 : attribute == 76 ? 0 : -1;
    return 0;
}
int cuGetErrorString(int error, const char **text) { *text = "no CUDA-capable device is detected"; return 0; }
"""


@pytest.fixture
def driver(tmp_path):
    """A function that builds a driver library with so many devices."""
    compiler = shutil.which("cc")
    if compiler is None or os.name != "posix":
        pytest.skip("no C compiler to build a driver with")

    def build(*, init=0, count=0):
        source, library = tmp_path / f"cuda{init}{count}.c", tmp_path / f"libcuda{init}{count}.so"
        source.write_text(DRIVER)
        flags = [f"-DINIT={init}", f"-DCOUNT={count}", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, "-o", library, source], check=True)
        return str(library)

    return build


def test_gpus(driver):
    gpu = {"memory": 141 << 30, "compute_capability": "9.0", "sms": 132, "memory_bus_bits": 6144}
    assert machine.find_gpus(driver(count=2)) == ([{"name": "first", **gpu}, {"name": "second", **gpu}], "")


def test_a_driver_without_a_usable_gpu(driver):
    gpus, reason = machine.find_gpus(driver(init=100))
    assert gpus == []
    assert reason == "the NVIDIA driver finds no usable GPU: no CUDA-capable device is detected (CUDA error 100)"
    assert machine.find_gpus(driver(count=0)) == ([], "the NVIDIA driver finds no usable GPU: none is visible")


class TestPeaks:
    @pytest.fixture(autouse=True)
    def measured(self, monkeypatch):
        """What the probes were asked; they themselves are tested with the kernels."""
        asked = {}

        def fma_peak(dtype, threads, *, seconds):
            asked["fma"] = (dtype, threads, seconds)
            return 250.0

        def triad_bandwidth(threads, *, seconds, megabytes):
            asked["triad"] = (threads, seconds, megabytes)
            return 30.0

        module = types.ModuleType("mlp_kernels.cpu.peak")
        module.fma_peak, module.triad_bandwidth = fma_peak, triad_bandwidth
        monkeypatch.setitem(sys.modules, "mlp_kernels.cpu.peak", module)
        return asked

    def cache(self, monkeypatch, size, memory=64 << 30):
        monkeypatch.setattr(probe, "describe_cpu", lambda: {"caches": {"l1d": None, "l2": 1 << 20, "l3": size}})
        monkeypatch.setattr(probe, "available_memory", lambda: memory)

    def test_both_are_measured(self, measured):
        assert probe.peaks("float64", 2, seconds=0.25) == probe.Peaks(250.0, 30.0)
        assert measured["fma"] == (np.float64, 2, 0.25)
        assert measured["triad"][:2] == (2, 0.25)

    @pytest.mark.parametrize(
        ("cache", "memory", "megabytes"),
        [
            (32_000_000, 64 << 30, 128),
            (400_000_000, 64 << 30, 1600),
            (400_000_000, 6_000_000_000, 500),
            (None, 1_000_000, 128),
        ],
    )
    def test_arrays_are_larger_than_the_caches_and_fit_memory(self, measured, monkeypatch, cache, memory, megabytes):
        self.cache(monkeypatch, cache, memory)
        probe.peaks()
        assert measured["triad"][2] == megabytes

    @pytest.mark.parametrize(("dtype", "threads"), [("float16", 1), ("float32", 0)])
    def test_bad_arguments(self, dtype, threads):
        with pytest.raises(ArgumentError):
            probe.peaks(dtype, threads)
