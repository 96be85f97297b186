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
    by default raises `KeyboardInterrupt`. Nothing is held outside the main thread, where Python delivers no signals,
    nor where Ctrl-C is ignored or ends the process without asking Python.

    >>> with deferred_interrupts() as interrupted:
    ...     interrupted()
    False
    """
    received: list[tuple[int, FrameType | None]] = []
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield lambda: False
        return
    signal.signal(signal.SIGINT, lambda number, frame: received.append((number, frame)))
    try:
        yield lambda: bool(received)
    finally:  # also where the block ends with an error of its own
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[-1])
