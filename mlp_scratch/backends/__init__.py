"""The backends by name, and the choice among them."""

import os
import warnings
from collections.abc import Callable, Iterator
from functools import cache

from mlp_scratch import checks
from mlp_scratch.backends.base import Backend as Backend
from mlp_scratch.backends.base import Plan as Plan
from mlp_scratch.backends.base import Records as Records
from mlp_scratch.backends.base import Samples as Samples
from mlp_scratch.backends.base import State as State
from mlp_scratch.backends.base import Stop as Stop
from mlp_scratch.backends.numba_settings import check_numba_settings
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendUnavailableError,
    MissingDependencyError,
    unknown_name,
)
from mlp_scratch.program import Program


@cache
def _numba_backend() -> Callable[[int | None], Backend]:
    check_numba_settings("unset it, or use backend='numpy'")
    from mlp_scratch.backends.numba import NumbaBackend  # Numba takes longer to import than the rest of the package

    return NumbaBackend


def _numba(threads: int | None) -> Backend:
    return _numba_backend()(threads)


def _cuda(threads: int | None, mend: str = "use backend='numba'") -> Backend:
    from mlp_kernels.cuda.availability import unavailability

    if reason := unavailability():
        raise BackendUnavailableError(f"backend 'cuda' can't run here: {reason.removesuffix('.')}; {mend}")
    from mlp_scratch.backends.cuda import CudaBackend

    return CudaBackend(threads)


BACKENDS: dict[str, Callable[[int | None], Backend]] = {"numpy": NumpyBackend, "numba": _numba, "cuda": _cuda}
"""Every backend by the name that `backend=` and `--backend` take, the fastest last."""


def usable_backends() -> list[str]:
    """The names of those that can run on this machine and as the environment says, the fastest last.

    >>> usable_backends()[:2]
    ['numpy', 'numba']
    """
    usable = []
    for name, make in BACKENDS.items():
        try:
            make(None)
        except (ArgumentError, BackendUnavailableError, MissingDependencyError):
            continue
        usable.append(name)
    return usable


def get_backend(name: str, program: Program | None = None, *, threads: int | None = None) -> Backend:
    """The backend called `name`, on at most `threads` threads; "auto" is the fastest that can run `program` here.

    Raises:
        ArgumentError: for a name that is not known, for one that hasn't the precision of `program`, and where the
            environment tells Numba something that it can't work with.
        BackendUnavailableError: where the backend asked for can't run on this machine; "auto" passes over it, unless no
            other has the precision of `program`.

    >>> get_backend("numpy").name
    'numpy'
    """
    if threads is not None:
        checks.integer("threads", threads, at_least=1)
    if not isinstance(name, str):
        raise ArgumentTypeError("backend", given=checks.describe(name), expected="the name of one", mend="try 'auto'")
    if name not in BACKENDS and name != "auto":
        raise unknown_name("backend", name, [*BACKENDS, "auto"])
    if program is not None and program.rounds_products:
        if name not in ("auto", "cuda"):
            raise ArgumentError(
                "precision",
                given=f"{program.precision!r} with backend {name!r}",
                expected=repr(program.dtype.name),
                mend="only a GPU has the others: use backend='cuda'",
            )
        return _cuda(threads, f"precision {program.precision!r} needs it, so leave that out or use another machine")
    if name != "auto":
        return BACKENDS[name](threads)
    for backend in _fastest_first(threads):
        if program is None or not backend.refusal(program):
            break
    return backend  # the slowest, NumPy, refuses nothing


def _fastest_first(threads: int | None) -> Iterator[Backend]:
    for name, make in reversed(BACKENDS.items()):
        if make is _cuda and not _has_gpu():
            continue
        try:
            yield make(threads)
        except (BackendUnavailableError, MissingDependencyError) as error:
            _say_once(f"backend='auto' passes over {name!r}: {error}")


@cache
def _has_gpu() -> bool:
    """Whether there is an NVIDIA GPU at all: most machines have none, and need not load Numba's half for GPUs."""
    from mlp_scratch.machine import find_gpus  # loads psutil

    return bool(find_gpus()[0]) and not os.environ.get("NUMBA_ENABLE_CUDASIM")


@cache
def _say_once(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)
