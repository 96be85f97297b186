"""How the compiled backend calls a kernel: on several threads, announced where it is compiled first."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

import numpy as np
from numba import typeof

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.gather import TYPES
from mlp_kernels.cpu.tile import Tile
from mlp_scratch._types import Array
from mlp_scratch.backends.base import Stop

Result = TypeVar("Result")

EVERY_MEETING = 2**62
"""On the counter of `threads.meet`: more threads than anyone waits for have come, to every meeting there will be."""

SECONDS_A_LOOK = 0.05
"""While threads are waited for, signal handlers run at least so often, on systems where waiting holds them back."""

_called: set[tuple[str, Tile]] = set()


def is_first_call(kernel: Any, tile: Tile) -> bool:
    """Whether the call that the caller is about to make compiles the kernel for the dtype at hand, or loads its code.

    Numba would have to be asked for all its signatures, which takes as long as a hundred steps of a small network.
    """
    key = kernel.__name__, tile
    if key in _called:
        return False
    is_first = all(signature[0] != typeof(tile) for signature in kernel.signatures)
    if not is_first:
        _called.add(key)
    return is_first


def on_threads(work: Callable[[int, int], Result], threads: int, memory: nw.Memory) -> Result:
    """Call `work(0, threads)` here and `work(1, threads)`, ... on threads of their own that end with it.

    They are as many as can be started. Returns the result of the first.
    """
    if threads == 1:
        return work(0, 1)
    memory.board[:] = 0
    crew = Crew(work)
    try:
        return work(0, crew.start(threads))
    except BaseException:  # Ctrl-C may come before the compiled code is reached
        memory.board[0] = EVERY_MEETING
        raise
    finally:
        crew.wait()


def share_out(work: Callable[[int, int], None], threads: int) -> None:
    """The same of work that needs no meeting, so that what no thread can be started for is done here."""
    crew = Crew(lambda thread, _together: work(thread, threads))
    try:
        for missing in range(crew.start(threads), threads):
            work(missing, threads)
        work(0, threads)
    finally:
        crew.wait()


def out_of_reach(work: Callable[[Stop], Result]) -> Result:
    """Call `work` where no signal handler can break it off, and wait until it ends, whatever one raises meanwhile.

    That is raised afterwards; `work` is handed a function that says whether there is such an error. Python runs signal
    handlers on the main thread alone: where this is it, `work` gets another one.
    """
    if threading.current_thread() is not threading.main_thread():
        return work(lambda: False)
    result: Future[Result] = Future()
    surroundings = copy_context()

    def run() -> None:
        try:
            result.set_result(work(lambda: bool(crew.raised)))
        except BaseException as error:
            result.set_exception(error)

    crew = Crew(lambda _thread, _together: surroundings.run(run))
    try:
        if crew.start(2) == 1:  # no thread can be started
            return work(lambda: False)
    finally:
        crew.wait()
    return result.result()


class Crew:
    """Threads that are waited for whatever signal handlers raise meanwhile: `Thread.join` would take that for the end.

    Args:
        work: called with the number of a thread, from 1 on, and that of all together, the caller included.

    Attributes:
        raised: what signal handlers have raised while the threads were waited for.
    """

    def __init__(self, work: Callable[[int, int], object]) -> None:
        self._work, self._together, self._gate = work, 0, threading.Lock()
        self._started: list[int] = []
        self._ended: set[int] = set()
        self._end = threading.Lock()
        self._end.acquire()
        self.raised: list[BaseException] = []

    def start(self, most: int) -> int:
        """Start threads until there are `most` with the caller, or no more can be; returns how many there are.

        None begins before all have started, nor at all if an error comes before that.
        """
        with self._gate:
            for thread in range(1, most):
                try:
                    threading.Thread(target=self._run, args=(thread,), daemon=True).start()
                except RuntimeError:
                    break
                self._started.append(thread)
            self._together = 1 + len(self._started)
        return self._together

    def _run(self, thread: int) -> None:
        with self._gate:
            pass
        try:
            if self._together:
                self._work(thread, self._together)
        finally:
            self._ended.add(thread)
            if len(self._ended) == len(self._started):
                with suppress(RuntimeError):  # another one may have seen the last one end, too
                    self._end.release()

    def wait(self) -> None:
        """Wait until all threads have ended, then raise what a signal handler has raised meanwhile."""
        while self._together and len(self._ended) < len(self._started):
            try:
                self._end.acquire(timeout=SECONDS_A_LOOK)
            except BaseException as error:
                self.raised.append(error)
        if self.raised:
            raise self.raised[-1]


_READABLE = frozenset(np.dtype(name) for name in TYPES)


def is_readable(X: Array) -> bool:
    """Whether the kernels read the dtype of `X` as it lies in memory."""
    return X.dtype in _READABLE
