"""One block of threads, one network, many steps: the block meets at its own barrier, which takes a few nanoseconds.

A grid of blocks is a population: each block reads its own header, and with it its own seed, learning rates, order of
the data and parameters. The network lies in shared memory for the length of the call where it fits there, and else in
the block's own part of `state`, which the caches hold.
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.device import jit, ld1, st1
from mlp_kernels.cuda.network import (
    FLAT_SIZE,
    HEADER,
    N_PHASES,
    OF_STAGE,
    PACKED,
    PHASE,
    PHASE_COLUMNS,
    PHASES,
    PLACES,
    SAMPLES,
    SHUFFLES,
    SLOTS,
    STATE,
    WORK,
    about,
    frame_of,
)
from mlp_kernels.cuda.phases import batch_of, phases_of
from mlp_kernels.cuda.pure import plain, pure
from mlp_kernels.cuda.shuffling import compare_pairs, draw_keys, keep_numbers


@pure
def load_parameters(f: Any) -> None:
    """Parameters and slots from `state`, where they are as in the model, to their places in `work`."""
    size, at = about(f, FLAT_SIZE), f.worker
    while at < size:
        place = ld1(f.tables, about(f, PLACES) + at)
        for row in range(1 + about(f, SLOTS)):
            value = ld1(f.state, about(f, STATE) + row * size + at)
            st1(f.work, place + row * about(f, PACKED), value)
        at += f.workers


@pure
def save_parameters(f: Any) -> None:
    """The way back of `load_parameters`."""
    size, at = about(f, FLAT_SIZE), f.worker
    while at < size:
        place = ld1(f.tables, about(f, PLACES) + at)
        for row in range(1 + about(f, SLOTS)):
            value = ld1(f.work, place + row * about(f, PACKED))
            st1(f.state, about(f, STATE) + row * size + at, value)
        at += f.workers


@cache
def block_network_of(element: Any, side: int, in_shared: bool) -> Any:
    """The kernel (tables, data, feed, state, first, count): steps `first` to `first + count` of every network.

    With `in_shared` the launch gives dynamic shared memory for `work`.
    """
    run = phases_of(element, side)

    @jit
    def block_network(tables: Any, data: Any, feed: Any, state: Any, first: int, count: int) -> None:
        tables, data, feed, state = plain(tables), plain(data), plain(feed), plain(state)
        network = cuda.blockIdx.x
        work = cuda.shared.array(0, element) if in_shared else state[ld1(tables, network * HEADER + WORK) :]
        f = frame_of(tables, data, feed, state, work, network, cuda.threadIdx.x, cuda.blockDim.x)
        load_parameters(f)
        cuda.syncthreads()
        i = first
        while i < first + count:
            epoch, start, n = batch_of(f, i)
            if start == 0 and about(f, SHUFFLES) != 0:
                draw_keys(f, epoch)
                cuda.syncthreads()
                level = 1
                while 1 << level - 1 < about(f, SAMPLES):
                    e = level - 1
                    while e >= 0:
                        compare_pairs(f, level, e)
                        cuda.syncthreads()
                        e -= 1
                    level += 1
                keep_numbers(f)
                cuda.syncthreads()
            if n > 0:
                for p in range(about(f, N_PHASES)):
                    row = about(f, PHASES) + p * PHASE_COLUMNS
                    run(f, ld1(f.tables, row + PHASE), ld1(f.tables, row + OF_STAGE), i, start, n)
                    cuda.syncthreads()
            i += 1
        save_parameters(f)

    return block_network
