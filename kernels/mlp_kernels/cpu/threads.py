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
def exchange(_context: Any, word: Any, expected: Any, value: Any) -> Any:
    """Write `value` where `expected` stands, in one stroke; returns whether it did."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.extract_value(builder.cmpxchg(*arguments, "acq_rel", "acquire"), 1)

    return types.boolean(word, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def look(_context: Any, word: Any) -> Any:
    """What stands there now, and all that its writer had written before."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.load_atomic(arguments[0], "acquire", 8)

    return types.int64(word), generate


OFFER_CORE = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
"""The system's function, int f(void), that lets another thread have the core."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def offer_core(_context: Any) -> Any:
    """Let another thread have the core, if one wants it."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, OFFER_CORE), [])
        return context.get_dummy_value()

    return types.void(), generate


@kernel
def meet(counter: Any, round_: int, threads: int) -> int:
    """Wait until all threads have come here; returns the number of the next meeting.

    `counter` starts at 0 and only grows, so it needs no reset: meeting r is over when it reaches r · threads.
    """
    if threads == 1:
        return round_
    _add(counter, 1)
    looks = 0
    while look(counter) < round_ * threads:
        looks += 1
        if looks > SPINS:
            offer_core()
    return round_ + 1


@kernel
def wait_while(word: Any, value: int) -> None:
    """Wait until something else stands there."""
    looks = 0
    while look(word) == value:
        looks += 1
        if looks > SPINS:
            offer_core()


@kernel
def share(units: int, thread: int, threads: int) -> Any:
    """The first unit of a thread and the first of the next."""
    if threads == 1:
        return 0, units  # a small network is trained in the time of a hundred divisions
    return units * thread // threads, units * (thread + 1) // threads
