"""How the threads of one training loop meet: a counter that each adds to, and waits at.

A barrier costs about 0.15 us on two cores that share a cache; starting a parallel region of a thread pool costs ten
to five hundred times that, more than a step of a small network. A waiting thread spins, for the others are nearly
always about to come, but gives its core away after a while: one that shares its core with the thread it waits for
would otherwise wait for a whole time slice.
"""

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import kernel

SPINS = 2000
"""Looks at the counter before the core is offered to others; about 50 us."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _add(_context: Any, counter: Any, value: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.atomic_rmw("add", arguments[0], arguments[1], "acq_rel")

    return types.int64(counter, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _look(_context: Any, counter: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.load_atomic(arguments[0], "acquire", 8)

    return types.int64(counter), generate


OFFER_CORE = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
"""The system's function, int f(void), that lets another thread have the core."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _offer_core(_context: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, OFFER_CORE), [])
        return context.get_dummy_value()

    return types.void(), generate


@kernel
def arrive(counter: Any) -> None:
    """Come to a meeting and go on at once."""
    _add(counter, 1)


@kernel
def meet(counter: Any, round_: int, threads: int) -> int:
    """Wait until all threads have come here; returns the number of the next meeting.

    `counter` starts at 0 and only grows, so it needs no reset: meeting r is over when it reaches r · threads.
    """
    if threads == 1:
        return round_
    arrive(counter)
    looks = 0
    while _look(counter) < round_ * threads:
        looks += 1
        if looks > SPINS:
            _offer_core()
    return round_ + 1


@kernel
def listen(counter: Any, heard: int, looks: int) -> None:
    """Look at a counter until it has gone on from `heard`, but no more than `looks` times.

    Whoever wants the core can have it between two looks, for nobody waits for who listens.
    """
    for _ in range(looks):
        if _look(counter) != heard:
            break
        _offer_core()


@kernel
def count(counter: Any) -> int:
    """What a counter has come to."""
    return _look(counter)


@kernel
def share(units: int, thread: int, threads: int) -> Any:
    """The first unit of a thread and the first of the next."""
    if threads == 1:
        return 0, units  # a small network is trained in the time of a hundred divisions
    return units * thread // threads, units * (thread + 1) // threads
