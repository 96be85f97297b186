"""The three products of a dense layer, each tile of the result handed on while it is still in registers.

    forward     z (N, H) = x Wᵀ + b      then the operations of a pointwise stage
    backward    dx (N, D) = dz W         then times the derivative of the pointwise stage below
    weights     dW (H, D) = dzᵀ x        then the optimiser's step

All are C[r, c] = Σ_k A[r, k] B[c, k], with A and B in `work` and any distances between rows and between columns.
A thread holds a tile of C whose rows and columns lie far apart, so that neighbouring threads take neighbouring
columns: one row of A for all of them, and rows of B side by side.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from numba import types

from mlp_kernels.cuda.device import ld1, st1
from mlp_kernels.cuda.network import (
    BIAS,
    BY_COLUMNS,
    FIRST_OP,
    GRADIENT,
    LAST_OP,
    N_IN,
    N_OUT,
    OUTPUT,
    PRODUCT,
    ROW,
    WEIGHT_ROW,
    WEIGHTS,
    stage,
)
from mlp_kernels.cuda.operations import chains_of
from mlp_kernels.cuda.pure import pure, registers_of
from mlp_kernels.cuda.updates import updates_of


def product_of(element: Any, side: int, finish: Callable[..., None]) -> Any:
    """The product in tiles of `side` x `side`; `finish(f, s, i, r, c, C[r, c])` is called for each element."""
    zero = element(0.0)
    sums_of, a_of = registers_of(element, side * side), registers_of(element, side)
    places_of = registers_of(types.int64, side)

    @pure
    def product(
        f: Any,
        s: int,
        i: int,
        a: int,
        a_row: int,
        a_step: int,
        b: int,
        b_row: int,
        b_step: int,
        m: int,
        n: int,
        k: int,
    ) -> None:
        """All of C (m, n), its tiles shared out among the workers."""
        sums, a_values, a_at, b_at = sums_of(), a_of(), places_of(), places_of()
        tall, wide = (m + side - 1) // side, (n + side - 1) // side
        tile = f.worker
        while tile < tall * wide:
            top, left = tile // wide, tile % wide
            for r in range(side):  # beyond the edge the last row and column stand in
                st1(a_at, r, a + min(top + r * tall, m - 1) * a_row)
                st1(b_at, r, b + min(left + r * wide, n - 1) * b_row)
                for c in range(side):
                    st1(sums, r * side + c, zero)
            t = 0
            while t < k:
                for r in range(side):
                    st1(a_values, r, ld1(f.work, ld1(a_at, r) + t * a_step))
                for c in range(side):
                    value = ld1(f.work, ld1(b_at, c) + t * b_step)
                    for r in range(side):
                        st1(sums, r * side + c, ld1(sums, r * side + c) + ld1(a_values, r) * value)
                t += 1
            e = 0
            while e < side * side:  # a loop, for `finish` is long; registers have no index, so they move up instead
                value = ld1(sums, 0)
                for other in range(1, side * side):
                    st1(sums, other - 1, ld1(sums, other))
                row, column = top + e // side * tall, left + e % side * wide
                if row < m and column < n:
                    finish(f, s, i, row, column, value)
                e += 1
            tile += f.workers

    return product


@cache
def finishes_of(element: Any) -> tuple[Any, Any, Any]:
    """What becomes of an element of each of the three products."""
    chain, _ = chains_of(element)
    learn = updates_of(element)

    @pure
    def activated(f: Any, s: int, i: int, row: int, column: int, z: Any) -> None:
        """z and, for a pointwise stage, its operations' result."""
        place = row * stage(f, s, ROW) + column
        if stage(f, s, BIAS) >= 0:
            z = z + ld1(f.work, stage(f, s, BIAS) + column)
        st1(f.work, stage(f, s, PRODUCT) + place, z)
        if stage(f, s, BY_COLUMNS) == 0 and stage(f, s, FIRST_OP) < stage(f, s, LAST_OP):
            y, _ = chain(f, s, i, row, column, z)
            st1(f.work, stage(f, s, OUTPUT) + place, y)

    @pure
    def differentiated(f: Any, s: int, i: int, row: int, column: int, dy: Any) -> None:
        """The gradient with respect to z, for a stage of columns still that with respect to its output."""
        place = row * stage(f, s, ROW) + column
        if stage(f, s, BY_COLUMNS) == 0 and stage(f, s, FIRST_OP) < stage(f, s, LAST_OP):
            _, derivative = chain(f, s, i, row, column, ld1(f.work, stage(f, s, PRODUCT) + place))
            dy = dy * derivative
        st1(f.work, stage(f, s, GRADIENT) + place, dy)

    @pure
    def learned(f: Any, s: int, i: int, row: int, column: int, g: Any) -> None:
        """A step of the weight."""
        learn(f, i, stage(f, s, WEIGHTS) + row * stage(f, s, WEIGHT_ROW) + column, g, True)

    return activated, differentiated, learned


class Dense(NamedTuple):
    """The products of a dense layer as functions of (f, s, i, n), for stage s and a batch of n samples.

    Attributes:
        forward: z = x Wᵀ + b, and the operations of a pointwise stage.
        backward: dx = dz W, and on through the stage below if that is pointwise.
        learn_bias: db = Σ dz, and the optimiser's step.
        learn: that, and dW = dzᵀ x and the optimiser's step.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]
    learn_bias: Callable[..., None]
    learn: Callable[..., None]


@cache
def dense_of(element: Any, side: int) -> Dense:
    """The products in tiles of `side` x `side` elements a thread."""
    zero = element(0.0)
    activated, differentiated, learned = finishes_of(element)
    forward_product = product_of(element, side, activated)
    backward_product = product_of(element, side, differentiated)
    weights_product = product_of(element, side, learned)
    learn_parameter = updates_of(element)

    @pure
    def forward(f: Any, s: int, i: int, n: int) -> None:
        d, h = stage(f, s, N_IN), stage(f, s, N_OUT)
        x, x_row = stage(f, s - 1, OUTPUT), stage(f, s - 1, ROW)
        forward_product(f, s, i, x, x_row, 1, stage(f, s, WEIGHTS), stage(f, s, WEIGHT_ROW), 1, n, h, d)

    @pure
    def backward(f: Any, s: int, i: int, n: int) -> None:
        d, h = stage(f, s, N_IN), stage(f, s, N_OUT)
        dz, dz_row = stage(f, s, GRADIENT), stage(f, s, ROW)
        backward_product(f, s - 1, i, dz, dz_row, 1, stage(f, s, WEIGHTS), 1, stage(f, s, WEIGHT_ROW), n, d, h)

    @pure
    def learn_bias(f: Any, s: int, i: int, n: int) -> None:
        dz, dz_row = stage(f, s, GRADIENT), stage(f, s, ROW)
        column = f.worker
        while column < stage(f, s, N_OUT) and stage(f, s, BIAS) >= 0:
            total = zero
            j = 0
            while j < n:
                total += ld1(f.work, dz + j * dz_row + column)
                j += 1
            learn_parameter(f, i, stage(f, s, BIAS) + column, total, False)
            column += f.workers

    @pure
    def learn(f: Any, s: int, i: int, n: int) -> None:
        d, h = stage(f, s, N_IN), stage(f, s, N_OUT)
        x, x_row = stage(f, s - 1, OUTPUT), stage(f, s - 1, ROW)
        learn_bias(f, s, i, n)
        weights_product(f, s, i, stage(f, s, GRADIENT), 1, stage(f, s, ROW), x, 1, x_row, h, d, n)

    return Dense(forward, backward, learn_bias, learn)
