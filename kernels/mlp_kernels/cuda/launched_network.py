"""One network, one launch a phase: threads of the whole GPU share the work, and the end of a launch is the barrier.

Nothing but the end of a phase is waited for, so this runs a network of any size. `load` and `save` move parameters
between the model's layout and the kernels'; between them, all of `work` stays where it is.

The number of the step under way lies in the GPU's memory, and `turn` counts it up at the end of a step. So the same
launches, with the same arguments, take the next step: they can be recorded and played again (`graphs`).
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.block_network import load_parameters, save_parameters
from mlp_kernels.cuda.device import jit, ld1, st1
from mlp_kernels.cuda.network import TURN, WORK, frame_of
from mlp_kernels.cuda.phases import batch_of, phases_of
from mlp_kernels.cuda.pure import plain


@cache
def launched_network_of(element: Any, side: int) -> tuple[Any, Any, Any, Any]:
    """The kernels load(arrays), save(arrays), phase(arrays, phase, s) and turn(tables).

    `arrays` are tables, data, feed and state; `turn` is for one thread.
    """
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
    def phase(tables: Any, data: Any, feed: Any, state: Any, kind: int, s: int) -> None:
        tables, data, feed, state = plain(tables), plain(data), plain(feed), plain(state)
        work = state[ld1(tables, WORK) :]
        f = frame_of(tables, data, feed, state, work, 0, cuda.grid(1), cuda.gridsize(1))
        i = ld1(tables, TURN)
        _, start, n = batch_of(f, i)
        run(f, kind, s, i, start, n)

    @jit
    def turn(tables: Any) -> None:
        st1(tables, TURN, ld1(tables, TURN) + 1)

    return load, save, phase, turn
