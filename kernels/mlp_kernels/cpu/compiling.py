"""How every kernel is compiled: without the GIL, lazily, kept on disk, and never stale."""

import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

from numba import njit


@cache
def source_digest() -> str:
    """A digest of the sources of this package; it changes when any kernel or code generator does.

    Numba's cache on disk notices changes of the file a function is written in, but not of the intrinsics and
    functions it calls. Kernels take a `Tile`, whose Numba type carries this digest: Numba keys its cache by
    the types of the arguments, so an entry made from other sources is never found.

    >>> len(source_digest())
    16
    """
    digest = hashlib.sha256()
    files = [f for f in resources.files(__package__).iterdir() if f.name.endswith(".py")]
    for file in sorted(files, key=lambda f: f.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def kernel(function: Callable[..., Any]) -> Any:
    """`function` as a Numba kernel: compiled on the first call, callable from several threads at once.

    The compiled code is kept where Numba can write: `NUMBA_CACHE_DIR`, else `__pycache__` beside the source,
    else the user's cache folder. Where none of them can be written, each process compiles for itself.

    Floating point follows IEEE 754 as written: no fast-math flag, so NaN, infinities and denormals behave;
    `error_model="numpy"` makes division by zero give infinity rather than test for it.

    >>> @kernel
    ... def halved(x):
    ...     return 0.5 * x
    >>> halved(3.0)
    1.5
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no folder to write to
        return njit(**options)(function)
