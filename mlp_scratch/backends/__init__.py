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


def _numba(threads: int | None) -> Backend:
    from mlp_scratch.backends.numba import NumbaBackend  # Numba takes longer to import than the rest of the package

    return NumbaBackend(threads)


BACKENDS: dict[str, Callable[[int | None], Backend]] = {"numpy": NumpyBackend, "numba": _numba}
"""Every backend by the name that `backend=` and `--backend` take, the fastest last."""


def get_backend(name: str, *, threads: int | None = None) -> Backend:
    """The backend called `name`, on at most `threads` threads; "auto" is the fastest that can run here.

    >>> get_backend("auto").name
    'numba'
    """
    if threads is not None:
        checks.integer("threads", threads, at_least=1)
    if name == "auto":
        name = list(BACKENDS)[-1]
    if name not in BACKENDS:
        raise unknown_name("backend", name, [*BACKENDS, "auto"])
    return BACKENDS[name](threads)
