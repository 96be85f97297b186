"""How the compiled backend calls a kernel: on several threads, announced where it is compiled first."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import typeof

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.gather import TYPES
from mlp_kernels.cpu.tile import Tile
from mlp_scratch._types import Array

Result = TypeVar("Result")

_called: set[tuple[str, Tile]] = set()


def is_first_call(kernel: Any, tile: Tile) -> bool:
    """Whether the call that the caller is about to make compiles the kernel for the dtype at hand, or loads its code.

    Numba would have to be asked for all its signatures, which takes as long as a hundred steps of a small network.
    """
    key = kernel.__name__, tile
    if key in _called:
        return False
    _called.add(key)
    return all(signature[0] != typeof(tile) for signature in kernel.signatures)


def on_threads(work: Callable[[int, int], Result], threads: int, memory: nw.Memory) -> Result:
    """Call `work(0, threads)` here and `work(1, threads)`, ... on threads of their own that end with it.

    They are as many as can be started. Returns the result of the first.
    """
    if threads == 1:
        return work(0, 1)
    memory.board[:] = 0
    others: list[threading.Thread] = []
    together, gate = 0, threading.Lock()

    def once_all_have_started(thread: int) -> None:
        with gate:
            pass
        if together:  # else starting them has ended in an error, and nobody would meet them
            work(thread, together)

    with gate:
        for thread in range(1, threads):
            other = threading.Thread(target=once_all_have_started, args=(thread,), daemon=True)
            try:
                other.start()
            except RuntimeError:
                break
            others.append(other)
        together = 1 + len(others)
    result = work(0, together)
    for other in others:
        other.join()
    return result


def share_out(work: Callable[[int, int], None], threads: int) -> None:
    """The same of work that needs no meeting, so that what no thread can be started for is done here."""
    others = []
    for thread in range(1, threads):
        other = threading.Thread(target=work, args=(thread, threads), daemon=True)
        try:
            other.start()
        except RuntimeError:
            work(thread, threads)
        else:
            others.append(other)
    work(0, threads)
    for other in others:
        other.join()


_READABLE = frozenset(np.dtype(name) for name in TYPES)


def is_readable(X: Array) -> bool:
    """Whether the kernels read the dtype of `X` as it lies in memory."""
    return X.dtype in _READABLE
