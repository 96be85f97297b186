"""Fused epilogues: what happens to an element of the product between its last multiply-add and its store.

    store     C = P                                     P = op(A) op(B)
    bias      C = f(P + u), u one number a column       forward: u is the bias, f the activation
    slope     C = P · f'(u), u like C                   backward: u is what the activation was applied to
    sgd       C = C · SHRINK - LR (P + L2 C)            P is the gradient of the weights C
    adam      the same with moments u and v, like C     m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g²,
                                                        C = C · SHRINK - STEP_SIZE m / (√v + EPS), g = P + L2 C

Done after the product, each would read C from memory and write it back once more. Hyper-parameters are a row `h` in
memory on the GPU, which is worked out once a step, so that a recorded launch serves every step. The plain reference
is `reference`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_kernels.cuda.device import device, in_turn, ld1, ld4, st1, st4
from mlp_kernels.cuda.tiles import Tile

Array: TypeAlias = npt.NDArray[Any]

LR, L2, SHRINK, BETA1, ONE_MINUS_BETA1, BETA2, ONE_MINUS_BETA2, STEP_SIZE, EPS = range(9)
"""Places in the row of hyper-parameters. L2 is added to the gradient, SHRINK multiplies the parameter: one of the two
is a weight decay, coupled or decoupled. STEP_SIZE and EPS hold Adam's corrections for starting at zero."""


@dataclass(frozen=True, slots=True)
class Epilogue:
    """One of the above; `function` is f or f', of one number, a device function; None is the identity."""

    kind: Literal["store", "bias", "slope", "sgd", "adam"] = "store"
    function: Callable[[Any], Any] | None = None


STORE = Epilogue()


def reference(
    kind: str, product: Array, c: Array, u: Array, v: Array, h: Array, function: Callable[[Array], Array] | None = None
) -> tuple[Array, Array, Array]:
    """C, u and v after an epilogue, one operation after the other.

    >>> c, _, _ = reference("bias", np.eye(2), np.eye(2), np.array([1.0, -5.0]), np.eye(2), np.zeros(9), np.abs)
    >>> c
    array([[2., 5.],
           [1., 4.]])
    """
    apply = function or (lambda x: x)
    if kind == "bias":
        return apply(product + u), u, v
    if kind == "slope":
        return product * apply(u), u, v
    gradient = product + h[L2] * c
    if kind == "sgd":
        return c * h[SHRINK] - h[LR] * gradient, u, v
    if kind == "adam":
        u = h[BETA1] * u + h[ONE_MINUS_BETA1] * gradient
        v = h[BETA2] * v + h[ONE_MINUS_BETA2] * gradient * gradient
        return c * h[SHRINK] - h[STEP_SIZE] * u / (np.sqrt(v) + h[EPS]), u, v
    return product, u, v


@device
def _identity(x: Any) -> Any:
    return x


@cache
def make_finish(epilogue: Epilogue) -> tuple[Any, Any]:
    """The functions that finish one element, and four neighbours in a row.

    They are called as `finish1(p, c, u, v, h, at, column)` and `finish4((p0, p1, p2, p3), ...)`, for the element
    `at` of C, in `column`.
    """
    return _MAKERS[epilogue.kind](epilogue.function or _identity)


def _store(_function: Any) -> tuple[Any, Any]:
    @device
    def finish1(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        st1(c, at, p)

    @device
    def finish4(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        st4(c, at, p[0], p[1], p[2], p[3])

    return finish1, finish4


def _bias(f: Any) -> tuple[Any, Any]:
    @device
    def finish1(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        st1(c, at, f(p + ld1(u, column)))

    @device
    def finish4(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        bias = ld4(u, column)
        st4(c, at, f(p[0] + bias[0]), f(p[1] + bias[1]), f(p[2] + bias[2]), f(p[3] + bias[3]))

    return finish1, finish4


def _slope(f: Any) -> tuple[Any, Any]:
    @device
    def finish1(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        st1(c, at, p * f(ld1(u, at)))

    @device
    def finish4(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        x = ld4(u, at)
        st4(c, at, p[0] * f(x[0]), p[1] * f(x[1]), p[2] * f(x[2]), p[3] * f(x[3]))

    return finish1, finish4


def _sgd(_function: Any) -> tuple[Any, Any]:
    @device
    def step(p: Any, w: Any, h: Any) -> Any:
        return w * ld1(h, SHRINK) - ld1(h, LR) * (p + ld1(h, L2) * w)

    @device
    def finish1(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        st1(c, at, step(p, ld1(c, at), h))

    @device
    def finish4(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        w = ld4(c, at)
        st4(c, at, step(p[0], w[0], h), step(p[1], w[1], h), step(p[2], w[2], h), step(p[3], w[3], h))

    return finish1, finish4


def _adam(_function: Any) -> tuple[Any, Any]:
    @device
    def step(p: Any, w: Any, first: Any, second: Any, h: Any) -> Any:
        g = p + ld1(h, L2) * w
        first = ld1(h, BETA1) * first + ld1(h, ONE_MINUS_BETA1) * g
        second = ld1(h, BETA2) * second + ld1(h, ONE_MINUS_BETA2) * g * g
        return w * ld1(h, SHRINK) - ld1(h, STEP_SIZE) * first / (sqrt(second) + ld1(h, EPS)), first, second

    @device
    def finish1(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        w, first, second = step(p, ld1(c, at), ld1(u, at), ld1(v, at), h)
        st1(c, at, w)
        st1(u, at, first)
        st1(v, at, second)

    @device
    def finish4(p: Any, c: Any, u: Any, v: Any, h: Any, at: Any, column: Any) -> None:
        w, first, second = ld4(c, at), ld4(u, at), ld4(v, at)
        w0, first0, second0 = step(p[0], w[0], first[0], second[0], h)
        w1, first1, second1 = step(p[1], w[1], first[1], second[1], h)
        w2, first2, second2 = step(p[2], w[2], first[2], second[2], h)
        w3, first3, second3 = step(p[3], w[3], first[3], second[3], h)
        st4(c, at, w0, w1, w2, w3)
        st4(u, at, first0, first1, first2, first3)
        st4(v, at, second0, second1, second2, second3)

    return finish1, finish4


_MAKERS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "store": _store,
    "bias": _bias,
    "slope": _slope,
    "sgd": _sgd,
    "adam": _adam,
}


@cache
def make_finish_block(tile: Tile, epilogue: Epilogue, row_hop: int, column_hop: int, *, aligned: bool) -> Any:
    """A function that finishes a thread's block of accumulators: fours of rows and columns, hops apart.

    It is called as `finish(acc, (c, u, v, h, c_step, first_row, first_column, m, n))` and touches nothing beyond the
    edges of C (m, n), whose rows begin `c_step` apart.
    """
    columns, fours = tile.lane_columns, tile.lane_rows * tile.lane_columns // 4
    finish1, finish4 = make_finish(epilogue)

    @device
    def finish_four(acc: Any, to: Any, number: Any) -> None:
        c, u, v, h, c_step, first_row, first_column, m, n = to
        place = 4 * number
        i, j = place // columns, place % columns
        row, column = first_row + i // 4 * row_hop + i % 4, first_column + j // 4 * column_hop
        at = row * c_step + column
        if row < m and aligned and column + 3 < n:
            finish4((acc[place], acc[place + 1], acc[place + 2], acc[place + 3]), c, u, v, h, at, column)
        elif row < m:
            if column < n:
                finish1(acc[place], c, u, v, h, at, column)
            if column + 1 < n:
                finish1(acc[place + 1], c, u, v, h, at + 1, column + 1)
            if column + 2 < n:
                finish1(acc[place + 2], c, u, v, h, at + 2, column + 2)
            if column + 3 < n:
                finish1(acc[place + 3], c, u, v, h, at + 3, column + 3)

    finish_all = in_turn(finish_four, fours)

    @device
    def finish(acc: Any, to: Any) -> None:
        finish_all(acc, to, 0)

    return finish
