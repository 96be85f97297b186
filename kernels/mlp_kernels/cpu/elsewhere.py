"""Compilation on more than one core, in processes of their own: Numba compiles one function at a time in each.

What they have compiled comes back through the disk, see `caching.py`. So it need not come at all: where no process can
be started, or no folder written, or one dies, whoever wanted the code compiles it.
"""

import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from mlp_kernels.cpu.compilers import go_on

Job: TypeAlias = Callable[[], object]

SECONDS_A_LOOK = 0.05
"""While a process is waited for, how often to look whether anybody still wants what it compiles."""

_RUN = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); pickle.load(sys.stdin.buffer)()"


@contextmanager
def elsewhere(jobs: Sequence[Job]) -> Iterator[Callable[[], None]]:
    """Run each job in a process of its own during the block; the function yielded waits for all of them.

    A job is a function that `pickle` finds by its name, or a `functools.partial` of one. Where it can't be run it is
    left out, and the process of one that has not ended with the block is ended.

    >>> with elsewhere([]) as wait:
    ...     wait()
    """
    running = [process for job in jobs if (process := _start(job))]

    def wait() -> None:
        for process in running:
            while process.poll() is None:
                go_on()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(SECONDS_A_LOOK)

    try:
        yield wait
    finally:
        for process in running:
            process.kill()
            process.wait()


def _start(job: Job) -> "subprocess.Popen[bytes] | None":
    if not _may_start():
        return None
    no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=no_window,
        )
    except OSError:
        return None
    assert process.stdin
    with suppress(OSError), process.stdin as stdin:  # a process that has ended already reads nothing
        stdin.write(pickle.dumps(sys.path) + pickle.dumps(job))
    return process


def _may_start() -> bool:
    """Whether `sys.executable` is a Python, and this process not itself one of several that do the same work."""
    is_python = Path(sys.executable or "").name.lower().startswith("python") and not getattr(sys, "frozen", False)
    return is_python and multiprocessing.parent_process() is None
