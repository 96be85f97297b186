"""Threads that stand by for work of a fraction of a millisecond, in which starting one would take as long.

To wake one takes long beside such work too, and so does the interpreter, which runs one thread at a time. So what is
handed out is the address of a compiled function, and who stands by listens for it in compiled code, at a board of its
own, for a moment after each part in case more follows at once. They end with the process.

    caller      hand out | its own part . . . . . . . . . . . . | take back what nobody has begun, wait for the rest
    helper      listening | its part . . . . . . . . . | listening . . . . . . . . . | asleep

    board       FREE --hand_out--> HANDED --> BUSY --> FREE --nothing for a while--> ASLEEP --wake--> FREE
                                      `----take_back----^

A caller has its helpers for itself, and a board goes from one state to the next in one stroke. A helper that is still
waking up, or has no core, keeps nobody waiting: when the caller has done its own part, it does the helper's as well.
"""

import os
import threading
from queue import SimpleQueue
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, pointer_at, pointer_to, store
from mlp_kernels.cpu.native import INT, INTS, call
from mlp_kernels.cpu.threads import exchange, look, offer_core, wait_while

Words: TypeAlias = npt.NDArray[np.int64]

PART = (INTS, INT)
"""The arguments of what is handed out, f(job, part): whatever words the caller has written, and which part it is."""

_STATE, _IS_HANDED, _FUNCTION, _JOB, _PART = range(5)
_WORDS = 16
"""Of a board: two cache lines, for CPUs fetch them in pairs, and nothing else should lie there."""

ASLEEP, FREE, HANDED, BUSY = range(4)

LOOKS = 400
"""At the board, before a thread falls asleep; about 200 us."""


class Helpers:
    """Several threads that stand by, awake and at nobody else's service: `with Helpers(number) as boards`.

    `boards` are where they listen: the address of each board, int64 (number,).
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._taken: list[_Helper] = []

    def __enter__(self) -> Words:
        try:
            for _ in range(self._number):
                helper = _idle.pop() if _idle else _Helper()
                self._taken.append(helper)
                helper.wake()
        except BaseException:
            self.__exit__()
            raise
        if self._number == 1:  # mostly, and to make an array would be most of the work
            return self._taken[0].address
        return np.array([helper.address[0] for helper in self._taken], np.int64)

    def __exit__(self, *_error: object) -> None:
        _idle.extend(self._taken)


class _Helper:
    """One thread that stands by, and its board."""

    def __init__(self) -> None:
        self.board: Words = np.zeros(_WORDS, np.int64)
        self.address = np.array([self.board.ctypes.data])
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._must_ring = False
        stand_by(self.board, 0)  # compiled here: a thread that still compiles when the process ends may crash it
        threading.Thread(target=self._work, name="product", daemon=True).start()

    def wake(self) -> None:
        """See to it that the thread listens, or will in a moment."""
        if self.board[_STATE] == ASLEEP or self._must_ring:
            self._must_ring = True  # until it has rung: an interrupt may come in between
            self.board[_STATE] = FREE
            self._bell.put(None)
            self._must_ring = False

    def _work(self) -> None:
        while True:
            self._bell.get()
            stand_by(self.board, LOOKS)


_idle: list[_Helper] = []

if hasattr(os, "register_at_fork"):  # of a process's threads, a fork has only the one that forked
    os.register_at_fork(after_in_child=_idle.clear)


@kernel
def hand_out(boards: Words, function: int, job: int) -> None:
    """Part 1 of a job to the first helper, part 2 to the second, and so on; `job` is the address of its words."""
    for i in range(boards.size):
        board = pointer_at(boards[i], np.int64)
        store(board, _FUNCTION, function)
        store(board, _JOB, job)
        store(board, _PART, i + 1)
        store(board, _IS_HANDED, exchange(board, FREE, HANDED))  # unless it has fallen asleep just now


@kernel
def take_back(boards: Words) -> None:
    """Return when all that was handed out is done, whoever has done it."""
    for i in range(boards.size):
        board = pointer_at(boards[i], np.int64)
        if not load(board, _IS_HANDED) or exchange(board, HANDED, FREE):
            _do_part(board)
        else:
            wait_while(board, BUSY)


@kernel
def stand_by(board: Words, looks: int) -> None:
    """Do what is handed out, until nothing was for so many looks at the board."""
    state = pointer_to(board)
    left = looks
    while left > 0 or (look(state) != ASLEEP and not exchange(state, FREE, ASLEEP)):
        if look(state) == HANDED and exchange(state, HANDED, BUSY):
            _do_part(state)
            exchange(state, BUSY, FREE)
            left = looks
        else:
            left -= 1
            offer_core()  # nobody waits for who listens


@kernel
def _do_part(board: Any) -> None:
    call(load(board, _FUNCTION), (pointer_at(load(board, _JOB), np.int64), load(board, _PART)))
