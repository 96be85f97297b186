"""Threads that stand by for work of a fraction of a millisecond, in which starting one would take as long.

To be woken takes long beside such work, too. So whoever has handed out work doesn't sleep until it is done but looks
for it; and who has done some listens for a moment, in case more follows at once, before it sleeps. They end with the
process.

    caller      hand out | first part: ring, multiply | look for the others
    helper      listening . . . . . . . . . . . . . . . | take the part, multiply, tell | listening . . . | asleep

The bell is for the interpreter's lock, which a helper needs to take its part: it rings when the caller has given the
lock away, inside the compiled code of its own part. Who has to wait for the lock falls asleep.
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
from mlp_kernels.cpu.threads import arrive, count, listen, meet

Part: TypeAlias = Callable[[], object]

LOOKS = 400
"""At the bell, before a thread falls asleep; about 200 us."""

BELL: npt.NDArray[np.int64] = np.zeros(1, np.int64)
"""How often it has rung, (1,): the first of several parts adds one as soon as it can do without the interpreter."""


def at_once(parts: Sequence[Part]) -> None:
    """Run the parts side by side, the first one on this thread; returns, or raises, when none is running any more.

    The first part should ring the bell. If it doesn't, those who listen come too, but later.

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
            _tell_and_listen(meeting, BELL)


_idle: list[_Helper] = []


def _helper() -> _Helper:
    try:
        return _idle.pop()
    except IndexError:  # the first call, or others have them all
        return _Helper()


if hasattr(os, "register_at_fork"):  # of a process's threads, a fork has only the one that forked
    os.register_at_fork(after_in_child=_idle.clear)


@kernel
def ring(bell: Any) -> None:
    """Ring the bell."""
    arrive(pointer_to(bell))


@kernel
def _tell_and_listen(meeting: Any, bell: Any) -> None:
    heard = count(pointer_to(bell))  # before the caller goes on, who may ring at once
    arrive(pointer_to(meeting))
    listen(pointer_to(bell), heard, LOOKS)


@kernel
def _wait(meeting: Any, threads: int) -> None:
    meet(pointer_to(meeting), 1, threads)
