"""One network, one launch a phase: threads of the whole GPU share the work, and the end of a launch is the barrier.

Nothing but the end of a phase is waited for, so this runs a network of any size. `load` and `save` move parameters
between the model's layout and the kernels'; between them, all of `work` stays where it is.
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.block_network import load_parameters, save_parameters
from mlp_kernels.cuda.device import jit, ld1
from mlp_kernels.cuda.network import WORK, frame_of
from mlp_kernels.cuda.phases import batch_of, phases_of
from mlp_kernels.cuda.pure import plain


@cache
def launched_network_of(element: Any, side: int) -> tuple[Any, Any, Any]:
    """The kernels load(arrays), save(arrays) and phase(arrays, phase, s, i), arrays = tables, data, feed, state."""
    run = phases_of(element, side)

    @jit
    def load(tables: Any, data: Any, feed: Any, state: Any) -> None:
        tables, data, feed, state = plain(tables), plain(data), plain(feed), plain(state)
        work = state[ld1(tables, WORK) :]
        load_parameters(frame_of(tables, data, feed, state, work, 0, cuda.grid(1), cuda.gridsize(1)))

    @jit
    def save(tables: Any, data: Any, feed: Any, state: Any) -> None:
        tables, data, feed, state = plain(tables), plain(data), plain(feed), plain(state)
        work = state[ld1(tables, WORK) :]
        save_parameters(frame_of(tables, data, feed, state, work, 0, cuda.grid(1), cuda.gridsize(1)))

    @jit
    def phase(tables: Any, data: Any, feed: Any, state: Any, kind: int, s: int, i: int) -> None:
        tables, data, feed, state = plain(tables), plain(data), plain(feed), plain(state)
        work = state[ld1(tables, WORK) :]
        f = frame_of(tables, data, feed, state, work, 0, cuda.grid(1), cuda.gridsize(1))
        _, start, n = batch_of(f, i)
        run(f, kind, s, i, start, n)

    return load, save, phase
