"""What kernels are written with, on a GPU and in Numba's CUDA simulator alike.

A kernel imports `cuda` from Numba for its thread and block numbers, and everything else from here. With
`NUMBA_ENABLE_CUDASIM=1` in the environment, all of it is plain Python and no GPU, driver or toolkit is needed; the
same functions are instructions of the GPU otherwise. Blocks have one dimension and consist of whole warps wherever
lanes work together.

Literals of Python are float64 to Numba, and one of them makes its whole expression float64: write
`zero = element(0.0)`, where `element` is the Numba type that the factory of the kernel was given.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import cuda, types
from numba.core import config

IS_SIMULATOR = bool(config.ENABLE_CUDASIM)
"""Whether kernels run in Numba's simulator."""

# Numba warns at every launch of few blocks that they can't fill a GPU. A small network can't, and it is no mistake.
config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

if IS_SIMULATOR:
    from mlp_kernels.cuda import simulated as _chosen
else:
    from mlp_kernels.cuda import ptx as _chosen  # type: ignore[no-redef]

ld1, st1, ld4, st4 = _chosen.ld1, _chosen.st1, _chosen.ld4, _chosen.st4
shared_array = _chosen.shared_array
copy1_async, copy4_async = _chosen.copy1_async, _chosen.copy4_async
commit_copies, wait_for_copies_but = _chosen.commit_copies, _chosen.wait_for_copies_but
to_tf32, pack_bf16, mma_tf32, mma_bf16 = _chosen.to_tf32, _chosen.pack_bf16, _chosen.mma_tf32, _chosen.mma_bf16
load_acquire = _chosen.load_acquire

WARP = 32
"""Lanes in a warp."""

_ELEMENTS = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}


def element_of(dtype: Any) -> Any:
    """The Numba type of a NumPy dtype, float32 or float64; called in a kernel it makes constants of that type.

    >>> element_of("float32")
    float32
    """
    return _ELEMENTS[np.dtype(dtype)]


def jit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`cuda.jit` with any of its options; the simulator's, which knows few of them, is given only those.

    In the simulator a function that kernels call stays plain Python: Numba's stand-in walks through the function's
    globals at each call, which fails when another thread adds to them, as Python does where it first warns.
    """
    if function is None:
        return lambda decorated: jit(decorated, **options)
    if IS_SIMULATOR:
        _chosen.prepare(function)
        if options.get("device"):
            return function
        options = {name: value for name, value in options.items() if name in ("fastmath", "debug")}
        return cuda.jit(**options)(function)
    # All code of a kernel is in one module as it is: to optimise it once more when it is linked takes seconds, changes
    # nothing, and would run another text than the one that `assembly` checks. Passed here, for what `cuda.jit(...)`
    # returns forgets it.
    return cuda.jit(function, lto=False, **options)


def device(function: Callable[..., Any]) -> Any:
    """A function that kernels call."""
    return jit(function, device=True)


@cache
def in_turn(function: Any, count: int) -> Any:
    """A device function that calls `function(one, other, number)` for each of `count` numbers: a loop, unrolled.

    It takes `(one, other, first)` and begins with `first`. LLVM unrolls short loops by itself and gives up where the
    body is long; but an array of a thread stays in registers only where all its indices are constants. This is half of
    the calls and then the other half, so that few functions are compiled, however many calls there are.
    """
    if count == 1:
        return function
    half = count // 2
    lower, upper = in_turn(function, half), in_turn(function, count - half)

    @device
    def both(one: Any, other: Any, first: Any) -> None:
        lower(one, other, first)
        upper(one, other, first + half)

    return both


if IS_SIMULATOR:

    @cache
    def warp_sum_of(element: Any) -> Any:
        """A function of a lane's value that gives every lane the sum over its warp, always in the same order."""
        box_of = shared_array(element, 1024)

        @device
        def warp_sum(value: Any) -> Any:
            box, thread = box_of(), cuda.threadIdx.x
            for distance in (16, 8, 4, 2, 1):
                box[thread] = value
                cuda.syncthreads()
                value = value + box[thread ^ distance]
                cuda.syncthreads()
            return value

        return warp_sum

else:

    @cache
    def warp_sum_of(element: Any) -> Any:
        """A function of a lane's value that gives every lane the sum over its warp, always in the same order."""

        @device
        def warp_sum(value: Any) -> Any:
            value += cuda.shfl_xor_sync(0xFFFFFFFF, value, 16)
            value += cuda.shfl_xor_sync(0xFFFFFFFF, value, 8)
            value += cuda.shfl_xor_sync(0xFFFFFFFF, value, 4)
            value += cuda.shfl_xor_sync(0xFFFFFFFF, value, 2)
            value += cuda.shfl_xor_sync(0xFFFFFFFF, value, 1)
            return value

        return warp_sum


if IS_SIMULATOR:

    @device
    def grid_barrier(arrivals: Any, blocks: int) -> None:
        """Wait for every block of the grid; the simulator, which runs blocks in turn, can wait for one only."""
        if blocks != 1:
            raise ValueError(f"blocks: got {blocks}, expected 1: the simulator runs blocks one after another")
        cuda.syncthreads()

else:

    @device
    def grid_barrier(arrivals: Any, blocks: int) -> None:
        """Wait for every block of the grid and see what they have written.

        `arrivals` is one int64 in global memory, zero before the kernel starts, that counts all arrivals at all
        barriers. All blocks must run at once, or they wait for ever: no more of them than fit the GPU together.
        """
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            cuda.threadfence()  # what this block has written, before it is counted
            before = cuda.atomic.add(arrivals, 0, 1)
            goal = (before // blocks + 1) * blocks
            while load_acquire(arrivals, 0) < goal:
                pass
            cuda.threadfence()  # nothing read from here on may be older than the others' arrival
        cuda.syncthreads()
