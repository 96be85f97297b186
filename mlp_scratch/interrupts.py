"""Ctrl-C without half a step."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_interrupts() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back inside the block; the value yielded tells whether it was pressed.

    The block looks at that between steps and ends itself. The handler that was installed before then runs, which
    by default raises `KeyboardInterrupt`. Outside the main thread, where Python delivers no signals, nothing is held.

    >>> with deferred_interrupts() as interrupted:
    ...     interrupted()
    False
    """
    received: list[tuple[int, FrameType | None]] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous = signal.signal(signal.SIGINT, lambda number, frame: received.append((number, frame)))
    try:
        yield lambda: bool(received)
    finally:
        # A handler installed from outside Python shows as None and cannot be put back; leave the default then.
        signal.signal(signal.SIGINT, signal.default_int_handler if previous is None else previous)
    if received and callable(previous):
        previous(*received[-1])
