"""Compiled kernels kept on disk: found again only by the sources, types, CPU and compiler that they were made from.

Numba's own cache looks at the file that a function is written in and not at the intrinsics and functions it
calls, so changed generators would leave stale code; its index can't be read once a type in it has moved to
another module; and two processes that compile for two types at once may leave one's code under the other's
name. Here an entry is one file, named after everything that the code depends on, and nothing else is kept. It begins
with a digest of the rest: machine code in which a disk has changed a bit would crash, in every process anew.
"""

import hashlib
import pickle
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import uuid4

import llvmlite
import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

DIGEST_SIZE = hashlib.sha256().digest_size


@cache
def source_digest() -> str:
    """A digest of the sources of this package; it changes when any kernel or code generator does.

    >>> len(source_digest())
    16
    """
    digest = hashlib.sha256()
    files = [file for file in resources.files(__package__).iterdir() if file.name.endswith(".py")]
    for file in sorted(files, key=lambda file: file.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _readable(locator: Any) -> Any:
    """Numba's way to a folder, for one that has entries and need not be writable."""

    class Readable(locator):  # type: ignore[misc]
        def ensure_cache_path(self) -> None:
            if not any(Path(self.get_cache_path()).glob("*.nbc")):
                raise FileNotFoundError(self.get_cache_path())

    return Readable


class _Folders(FunctionCache._impl_class):  # type: ignore[misc]
    """Where Numba looks for a folder, and what it does with an entry."""

    _locator_classes = (
        *FunctionCache._impl_class._locator_classes,
        *map(_readable, FunctionCache._impl_class._locator_classes),
    )


class KernelCache(FunctionCache):  # type: ignore[misc]  # Numba's
    """The entries of one function, in the folder that Numba finds for it.

    That is `NUMBA_CACHE_DIR`, else `__pycache__` beside the source, else the user's cache folder, the first
    that can be written. Where none can, as in a container that came with its kernels compiled, it is the first that
    has entries; where none has, the constructor raises `RuntimeError`.
    """

    _impl_class = _Folders

    def path(self, signature: Any, codegen: Any) -> Path:
        """The file of one entry: `function-line.python-sources-key.nbc`."""
        key = repr((numba.__version__, llvmlite.__version__, self._index_key(signature, codegen))).encode()
        return self._folder / f"{self._stem}-{source_digest()}-{hashlib.sha256(key).hexdigest()[:16]}.nbc"

    @property
    def _folder(self) -> Path:
        return Path(self.cache_path)

    @property
    def _stem(self) -> str:
        return str(self._impl.filename_base)

    def _load_overload(self, signature: Any, target_context: Any) -> Any:
        try:
            entry = self.path(signature, target_context.codegen()).read_bytes()
            digest, code = entry[:DIGEST_SIZE], entry[DIGEST_SIZE:]
            if hashlib.sha256(code).digest() != digest:
                return None
            return self._impl.rebuild(target_context, pickle.loads(code))
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged or unreadable entry raises, the answer is to compile
            return None

    def _save_overload(self, signature: Any, result: Any) -> None:
        """Write the entry in one stroke and drop those of other sources; a full disk is no error."""
        if not self._impl.check_cachable(result):
            return
        path = self.path(signature, result.codegen)
        draft = path.with_name(f"{uuid4().hex}.tmp")
        try:
            self._impl.locator.ensure_cache_path()
            code = dumps(self._impl.reduce(result))
            try:
                draft.write_bytes(hashlib.sha256(code).digest() + code)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)
            self._drop_other_sources()
        except OSError:
            return

    def _drop_other_sources(self) -> None:
        """Remove what the function was compiled to before this package changed, on whatever line it began then."""
        name, _, line_and_python = self._stem.rpartition("-")
        python = line_and_python.rpartition(".")[2]
        for entry in self._folder.glob(f"{name}-*.{python}-*.nbc"):
            if f"-{source_digest()}-" not in entry.name:
                entry.unlink(missing_ok=True)

    def flush(self) -> None:
        """Remove every entry of the function."""
        for entry in self._folder.glob(f"{self._stem}-*.nbc"):
            entry.unlink(missing_ok=True)


def is_on_disk(kernel: Any, kinds: tuple[Any, ...]) -> bool:
    """Whether a kernel need not be compiled for arguments of these types; no, where it is never kept."""
    cache = kernel._cache
    return isinstance(cache, KernelCache) and cache.path(kinds, kernel.targetctx.codegen()).exists()
