"""A word to whoever waits: compilation takes seconds, once."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 1.0
"""Seconds of silence."""


@contextmanager
def announcing(what: str) -> Iterator[None]:
    """Say on standard error what is being compiled if the block takes longer than `PATIENCE`, on a terminal only.

    >>> with announcing("nothing"):
    ...     pass
    """

    def announce() -> None:
        print(f"compiling {what}: this happens once, the result is kept on disk", file=sys.stderr)  # noqa: T201

    if not sys.stderr.isatty():
        yield
        return
    timer = threading.Timer(PATIENCE, announce)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
