"""The backends by name, and the choice among them."""

from collections.abc import Callable

from mlp_scratch import checks
from mlp_scratch.backends.base import Backend as Backend
from mlp_scratch.backends.base import Plan as Plan
from mlp_scratch.backends.base import Records as Records
from mlp_scratch.backends.base import Samples as Samples
from mlp_scratch.backends.base import State as State
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.errors import unknown_name
from mlp_scratch.program import Program


def _numba(threads: int | None) -> Backend:
    from mlp_scratch.backends.numba import NumbaBackend  # Numba takes longer to import than the rest of the package

    return NumbaBackend(threads)


BACKENDS: dict[str, Callable[[int | None], Backend]] = {"numpy": NumpyBackend, "numba": _numba}
"""Every backend by the name that `backend=` and `--backend` take, the fastest last."""


def get_backend(name: str, program: Program | None = None, *, threads: int | None = None) -> Backend:
    """The backend called `name`, on at most `threads` threads; "auto" is the fastest that can run `program` here.

    >>> get_backend("auto").name
    'numba'
    """
    if threads is not None:
        checks.integer("threads", threads, at_least=1)
    if name not in (*BACKENDS, "auto"):
        raise unknown_name("backend", name, [*BACKENDS, "auto"])
    if name != "auto":
        return BACKENDS[name](threads)
    backends = (make(threads) for make in reversed(BACKENDS.values()))
    return next(backend for backend in backends if program is None or not backend.refusal(program))
