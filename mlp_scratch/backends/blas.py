"""One BLAS thread, so that NumPy's matrix products give the same bits on any number of cores.

A BLAS cuts a product differently for another number of threads, and so rounds differently. The setting is one for
the whole process: several fits at once, in several Python threads, share it, and the last to end restores it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


class _Shared:
    """How many blocks are under way, and what restores the setting after the last."""

    lock = threading.Lock()
    users = 0
    limiter: Any = None


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController  # looks through all loaded libraries, once: about a millisecond

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread inside the block.

    >>> with single_blas_thread():
    ...     product = [[1.0]]
    """
    with _Shared.lock:
        if _Shared.users == 0:
            _Shared.limiter = _controller().limit(limits=1)
        _Shared.users += 1
    try:
        yield
    finally:
        with _Shared.lock:
            _Shared.users -= 1
            if _Shared.users == 0:
                _Shared.limiter.restore_original_limits()
