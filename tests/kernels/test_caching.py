"""Compiled code is found again, and only by the sources it was made from."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest
from numba import types
from numba.core.caching import NullCache

import mlp_kernels
from mlp_kernels.cpu import caching, compiling

MULTIPLY = """
import numpy as np
from mlp_kernels.cpu import native, sharing
from mlp_kernels.cpu.gemm import gemm
compiled, codes = native._compiled, []
native._compiled = lambda *arguments: codes.append(compiled(*arguments)) or codes[-1]
a = np.arange(6.0).reshape(2, 3)
product, kernel = gemm(a, a.T), sharing.multiply_shared
print(product.tolist(), sum(kernel.stats.cache_hits.values()) + codes[0].cache_hits)
"""
PRODUCT = "[[5.0, 14.0], [14.0, 50.0]]"


@pytest.fixture
def package(tmp_path):
    """A copy of the package that a test may change."""
    shutil.copytree(
        Path(mlp_kernels.__file__).parent, tmp_path / "mlp_kernels", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "mlp_kernels"


def start(package, **variables):
    """A process that multiplies with the code of `package`; of the user's own folders it knows those it is told."""
    kept = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    }
    environment = kept | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"} | variables
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", MULTIPLY], env=environment, stdout=pipe, stderr=pipe, text=True)


def outcome(process):
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output.strip()


def run(package, cache):
    return outcome(start(package, NUMBA_CACHE_DIR=str(cache)))


def test_what_is_on_disk_is_known_to_be(monkeypatch):
    @compiling.kernel
    def tripled(x):
        return 3 * x

    tripled._cache.flush()
    assert not caching.is_on_disk(tripled, (types.float64,))
    tripled(1.0)
    assert caching.is_on_disk(tripled, (types.float64,))
    assert not caching.is_on_disk(tripled, (types.int64,))
    monkeypatch.setattr(tripled, "_cache", NullCache())  # as where no folder can be written
    assert not caching.is_on_disk(tripled, (types.float64,))


@pytest.mark.parametrize("compiler", ["numba", "llvmlite"])
def test_code_of_another_compiler_is_not_found(compiler, monkeypatch):
    @compiling.kernel
    def doubled(x):
        return 2 * x

    doubled(1.0)
    (overload,) = doubled.overloads.values()
    where = overload.signature.args, overload.library.codegen
    path = doubled._cache.path(*where)
    assert doubled._cache.path(*where) == path
    monkeypatch.setattr(f"{compiler}.__version__", "9.9.9")
    assert doubled._cache.path(*where) != path


def test_code_is_kept_and_a_changed_generator_is_noticed(package, tmp_path):
    assert run(package, tmp_path / "cache") == f"{PRODUCT} 0"
    assert run(package, tmp_path / "cache") == f"{PRODUCT} 2"

    generator = package / "cpu" / "register_tile.py"
    text = generator.read_text()
    zeros = "zeros = [v.constant(0.0)]"
    assert text.count(zeros) == 1
    generator.write_text(text.replace(zeros, zeros.replace("0.0", "1.0")))
    # The file of what is compiled, sharing.py, is the same as before.
    assert run(package, tmp_path / "cache") == "[[6.0, 15.0], [15.0, 51.0]] 0"
    entries = [entry.name for entry in (tmp_path / "cache").rglob("sharing.*.nbc")]
    assert len(entries) == 2, "entries of other sources are dropped"


def test_two_processes_that_compile_at_once_leave_code_that_the_next_one_finds(package, tmp_path):
    both = [start(package, NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
    assert [outcome(process).split("]] ")[0] + "]]" for process in both] == [PRODUCT, PRODUCT]
    assert run(package, tmp_path / "cache") == f"{PRODUCT} 2"
    assert not list((tmp_path / "cache").rglob("*.tmp"))


@pytest.mark.parametrize("home", ["a folder", "nothing"])
def test_where_the_package_is_installed_read_only(home, package, tmp_path):
    """Then the code is kept in the user's own folder, and where there is none, as in many containers, not at all.

    A file in the place of the folder that would be made stops root, too, whom permissions do not.
    """
    for folder in (package, package / "cpu"):
        (folder / "__pycache__").write_text("in the way")
    path = tmp_path / "home"
    path.mkdir()
    variables = {"HOME": str(path) if home == "a folder" else os.devnull}
    assert outcome(start(package, **variables)) == f"{PRODUCT} 0"
    assert outcome(start(package, **variables)) == f"{PRODUCT} {2 if home == 'a folder' else 0}"
    assert bool(list(path.rglob("*.nbc"))) == (home == "a folder")


def test_damaged_entries_are_compiled_anew(package, tmp_path):
    run(package, tmp_path / "cache")
    entries = list((tmp_path / "cache").rglob("*.nbc"))
    assert entries
    for number, entry in enumerate(entries):
        entry.write_bytes([b"", b"not a pickle", entry.read_bytes()[:100], b"\x80\x04N."][number % 4])
    assert run(package, tmp_path / "cache") == f"{PRODUCT} 0"
    assert run(package, tmp_path / "cache") == f"{PRODUCT} 2"


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_an_entry_with_one_bit_changed_is_compiled_anew(place, package, tmp_path):
    """It may still be a pickle, and machine code that crashes."""
    run(package, tmp_path / "cache")
    for entry in (tmp_path / "cache").rglob("*.nbc"):
        code = bytearray(entry.read_bytes())
        code[int(place * len(code))] ^= 4
        entry.write_bytes(code)
    assert run(package, tmp_path / "cache") == f"{PRODUCT} 0"


def test_the_key_tells_types_and_sources_apart(monkeypatch):
    @compiling.kernel
    def double(x):
        return x + x

    context = double.targetctx.codegen()
    path = double._cache.path
    assert path(("int64",), context) == path(("int64",), context)
    assert path(("int64",), context) != path(("float64",), context)
    before = path(("int64",), context)
    monkeypatch.setattr(caching, "source_digest", lambda: "another")
    assert path(("int64",), context) != before


def test_without_a_folder_to_write_kernels_are_compiled_each_time(monkeypatch):
    def refuse(_function):
        raise RuntimeError("no locator available")

    monkeypatch.setattr(compiling, "KernelCache", refuse)

    @compiling.kernel
    def double(x):
        return x + x

    assert double(2.5) == 5.0


def entries(function):
    """The files of the folder of a kernel, of those named after it."""
    folder = Path(function._cache.cache_path)
    return [entry for entry in folder.iterdir() if entry.suffix == ".nbc" and function.__name__ in entry.name]


def test_a_full_disk_is_no_error_and_leaves_nothing(monkeypatch):
    drafts = []

    def full(path, code):
        drafts.append(path)
        path.touch()
        raise OSError(errno.ENOSPC, "no space left on device")

    @compiling.kernel
    def twice_on_a_full_disk(x):
        return x + x

    twice_on_a_full_disk._cache.flush()
    monkeypatch.setattr(Path, "write_bytes", full)
    assert twice_on_a_full_disk(2.5) == 5.0
    assert len(drafts) == 1
    assert not drafts[0].exists()
    assert not entries(twice_on_a_full_disk)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_an_entry_can_be_read_by_whom_the_umask_lets(umask, mode):
    @compiling.kernel
    def shared_by_a_group(x):
        return x + x

    shared_by_a_group._cache.flush()
    before = os.umask(umask)
    try:
        shared_by_a_group(1.0)
    finally:
        os.umask(before)
    (entry,) = entries(shared_by_a_group)
    assert entry.stat().st_mode & 0o777 == mode


def test_where_nothing_can_be_written_what_is_there_is_read(monkeypatch):
    """As in a container that came with its kernels compiled, run by a user without a home."""

    def read_only(**_options):
        raise PermissionError(errno.EACCES, "permission denied")

    def compiled_before(x):
        return x + x

    first = compiling.kernel(compiled_before)
    assert first(2.5) == 5.0
    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    second = compiling.kernel(compiled_before)
    assert second(2.5) == 5.0
    assert second._cache.cache_path == first._cache.cache_path
    assert sum(second.stats.cache_hits.values()) == 1


def test_entries_of_other_sources_are_dropped_wherever_in_its_file_a_function_was(monkeypatch):
    def moved_by_an_upgrade(x):
        return x + x

    kernel = compiling.kernel(moved_by_an_upgrade)
    kernel(1.0)
    code = moved_by_an_upgrade.__code__
    later = FunctionType(code.replace(co_firstlineno=code.co_firstlineno + 1), globals(), moved_by_an_upgrade.__name__)
    later.__qualname__ = moved_by_an_upgrade.__qualname__
    monkeypatch.setattr(caching, "source_digest", lambda: "another")
    compiling.kernel(later)(1.0)
    (entry,) = entries(kernel)
    assert "another" in entry.name
    entry.unlink()


def test_importing_the_package_loads_nothing():
    code = "import sys, mlp_kernels, mlp_kernels.cpu; print('numba' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]


def test_kernels_release_the_gil_and_use_no_unsafe_fast_math():
    @compiling.kernel
    def is_nan(x):
        return x != x

    assert is_nan.targetoptions["nogil"] is True
    assert not is_nan.targetoptions.get("fastmath")
    assert is_nan(np.nan)
