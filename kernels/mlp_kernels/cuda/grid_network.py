"""One network, the whole GPU, many steps in one launch: blocks meet at a counter in memory between the phases.

That barrier takes about a microsecond where a launch takes several, and nothing goes through the CPU. All blocks must
run at the same time or they wait for ever, so there is at most one for each multiprocessor. Between two barriers
blocks see each other's results through the cache that all share.
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.block_network import load_parameters, save_parameters
from mlp_kernels.cuda.device import grid_barrier, jit, ld1
from mlp_kernels.cuda.network import N_PHASES, OF_STAGE, PHASE, PHASE_COLUMNS, PHASES, WORK, about, frame_of
from mlp_kernels.cuda.phases import batch_of, phases_of
from mlp_kernels.cuda.pure import plain


@cache
def grid_network_of(element: Any, side: int) -> Any:
    """The kernel (tables, data, feed, state, arrivals, first, count): steps `first` to `first + count`.

    `arrivals` is one int64, zero before the first launch, which every launch leaves at a multiple of its blocks.
    """
    run = phases_of(element, side)

    @jit
    def grid_network(tables: Any, data: Any, feed: Any, state: Any, arrivals: Any, first: int, count: int) -> None:
        tables, data, feed, state = plain(tables), plain(data), plain(feed), plain(state)
        work = state[ld1(tables, WORK) :]
        f = frame_of(tables, data, feed, state, work, 0, cuda.grid(1), cuda.gridsize(1))
        load_parameters(f)
        grid_barrier(arrivals, cuda.gridDim.x)
        i = first
        while i < first + count:
            _, start, n = batch_of(f, i)
            for p in range(about(f, N_PHASES)):
                row = about(f, PHASES) + p * PHASE_COLUMNS
                run(f, ld1(f.tables, row + PHASE), ld1(f.tables, row + OF_STAGE), i, start, n)
                grid_barrier(arrivals, cuda.gridDim.x)
            i += 1
        save_parameters(f)

    return grid_network
