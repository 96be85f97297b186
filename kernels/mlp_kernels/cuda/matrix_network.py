"""Large networks: the three products of each dense layer by the fastest matrix kernels, and what follows by itself.

A product that reads millions of numbers is worth a kernel that does nothing else (`gemm`); what follows it, element by
element, then reads its result from memory. A phase of `phases` becomes one or two products and one launch of this:

    DENSE s     z = x Wᵀ                 then bias and operations
    BACK s      dx = dz W of stage s     then the derivative of the stage below; and as LEARN of stage s + 1
    LEARN s     dW = dzᵀ x               then the optimiser's step, and the bias
"""

from functools import cache
from typing import Any

from numba import cuda

from mlp_kernels.cuda.device import jit, ld1
from mlp_kernels.cuda.network import (
    GRADIENT,
    N_IN,
    N_OUT,
    PRODUCT,
    ROW,
    TURN,
    WEIGHT_GRADIENT,
    WEIGHT_ROW,
    WORK,
    about,
    frame_of,
    stage,
)
from mlp_kernels.cuda.phases import batch_of
from mlp_kernels.cuda.products import dense_of, finishes_of
from mlp_kernels.cuda.pure import plain, pure

ACTIVATE, DIFFERENTIATE, LEARN = range(3)


@cache
def matrix_network_of(element: Any) -> Any:
    """The kernel (tables, data, feed, state, kind, s) that finishes a product of stage s in the step under way."""
    activated, differentiated, learned = finishes_of(element)
    learn_bias = dense_of(element, 1).learn_bias

    @pure
    def finish(f: Any, kind: int, s: int, i: int, n: int) -> None:
        rows = stage(f, s, N_OUT) if kind == LEARN else n
        columns = stage(f, s, N_IN) if kind == LEARN else stage(f, s, N_OUT)
        at = f.worker
        while at < rows * columns:
            row, column = at // columns, at % columns
            if kind == LEARN:
                place = about(f, WEIGHT_GRADIENT) + row * stage(f, s, WEIGHT_ROW) + column
                learned(f, s, i, row, column, ld1(f.work, place))
            else:
                place = row * stage(f, s, ROW) + column
                if kind == ACTIVATE:
                    activated(f, s, i, row, column, ld1(f.work, stage(f, s, PRODUCT) + place))
                else:
                    differentiated(f, s, i, row, column, ld1(f.work, stage(f, s, GRADIENT) + place))
            at += f.workers
        if kind == LEARN:
            learn_bias(f, s, i, n)

    @jit
    def matrix_network(tables: Any, data: Any, feed: Any, state: Any, kind: int, s: int) -> None:
        tables, data, feed, state = plain(tables), plain(data), plain(feed), plain(state)
        work = state[ld1(tables, WORK) :]
        f = frame_of(tables, data, feed, state, work, 0, cuda.grid(1), cuda.gridsize(1))
        i = ld1(tables, TURN)
        _, _, n = batch_of(f, i)
        finish(f, kind, s, i, n)

    return matrix_network
