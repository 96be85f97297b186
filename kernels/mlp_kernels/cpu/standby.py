"""Threads that stand by for work of a fraction of a millisecond, in which starting one would take as long.

They sleep until there is something to do, and end with the process. Who has handed out work doesn't sleep until it
is done but looks for it: to be woken takes long beside such work.
"""

import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import pointer_to
from mlp_kernels.cpu.threads import arrive, meet

Part: TypeAlias = Callable[[], object]


def at_once(parts: Sequence[Part]) -> None:
    """Run the parts side by side, the first one on this thread; returns, or raises, when none is running any more.

    >>> done = []
    >>> at_once([lambda: done.append("one"), lambda: done.append("two")])
    >>> sorted(done)
    ['one', 'two']
    """
    task, threads = _Task(), 1
    try:
        for part in parts[1:]:
            _helper().hand(part, task)
            threads += 1
        parts[0]()
    finally:
        _wait(task.meeting, threads)
    for error in task.errors:
        raise error


class _Task:
    """What the threads of one call of `at_once` share: where they meet, and what has gone wrong."""

    def __init__(self) -> None:
        self.meeting: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self.errors: list[BaseException] = []


class _Helper:
    """One thread that stands by."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[tuple[Part, _Task]] = SimpleQueue()
        threading.Thread(target=self._work, name="product", daemon=True).start()

    def hand(self, part: Part, task: _Task) -> None:
        self._inbox.put((part, task))

    def _work(self) -> None:
        while True:
            part, task = self._inbox.get()
            try:
                part()
            except BaseException as error:
                task.errors.append(error)
            meeting = task.meeting
            del part, task  # what they hold on to is not to outlive the call
            _idle.append(self)  # before the caller knows, who may have more to do at once
            _tell(meeting)


_idle: list[_Helper] = []


def _helper() -> _Helper:
    try:
        return _idle.pop()
    except IndexError:  # the first call, or others have them all
        return _Helper()


if hasattr(os, "register_at_fork"):  # of a process's threads, a fork has only the one that forked
    os.register_at_fork(after_in_child=_idle.clear)


@kernel
def _tell(meeting: Any) -> None:
    arrive(pointer_to(meeting))


@kernel
def _wait(meeting: Any, threads: int) -> None:
    meet(pointer_to(meeting), 1, threads)
