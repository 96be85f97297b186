"""How many cores the compiled backend may use."""

import os

from mlp_scratch.backends.numba_settings import check_numba_settings
from mlp_scratch.machine import usable_cores


def usable_threads() -> int:
    """The cores that this process may use, or `NUMBA_NUM_THREADS` if that is less."""
    check_numba_settings("unset it")
    limit = os.environ.get("NUMBA_NUM_THREADS")
    return usable_cores() if limit is None else min(usable_cores(), int(limit))
