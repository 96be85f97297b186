"""What follows a product within a stage: on one element where that is enough, else on a column of the batch.

In a pointwise stage no operation keeps anything: an element's way from z to the stage's output is gone once more on
the way back, and the derivative of the whole chain is multiplied up as it goes. A stage with batch normalisation or
PReLU, whose parameters learn from sums over the batch, keeps what each operation took and is done column by column:
neighbouring threads take neighbouring columns, so that they read memory together.
"""

from functools import cache
from math import sqrt
from typing import Any

import numpy as np

from mlp_kernels.cuda.activations import activations_of
from mlp_kernels.cuda.device import ld1, st1
from mlp_kernels.cuda.dropout import random_word
from mlp_kernels.cuda.network import (
    BUFFERS,
    BY_BATCH,
    FIRST_OP,
    GRADIENT,
    KEPT,
    KIND,
    LAST_OP,
    LAYER,
    N_OUT,
    N_STAGES,
    OFFSETS,
    OP_LEARNS,
    RESULT,
    ROW,
    RUNNING,
    SCALES,
    SEED,
    SOURCE,
    STEP,
    THRESHOLD,
    TRAINING,
    about,
    op,
    op_constant,
    stage,
)
from mlp_kernels.cuda.pure import pure
from mlp_kernels.cuda.updates import updates_of

DROPOUT, SLOPE, SLOPES, BATCH_NORM = range(9, 13)
"""Kinds behind those of `activations`: SLOPE is a PReLU that all features share, SLOPES one for each feature."""


@cache
def chains_of(element: Any) -> Any:
    """The operations of a pointwise stage on one element: a function of (f, s, i, row, column, z).

    It returns the result and its derivative with respect to z; i is the number of the step in this call.
    """
    zero, one = element(0.0), element(1.0)
    activate, slope = activations_of(element)

    @pure
    def chain(f: Any, s: int, i: int, row: int, column: int, z: Any) -> Any:
        x, derivative = z, one
        o, last = stage(f, s, FIRST_OP), stage(f, s, LAST_OP)
        while o < last:
            kind, a, b = op(f, o, KIND), op_constant(f, o, 0), op_constant(f, o, 1)
            if kind == DROPOUT:
                factor = dropout_factor(f, o, i, row, column, b)
                x, derivative = x * factor, derivative * factor
            else:
                derivative = derivative * slope(kind, x, a, b)
                x = activate(kind, x, a, b)
            o += 1
        return x, derivative

    @pure
    def dropout_factor(f: Any, o: int, i: int, row: int, column: int, kept: Any) -> Any:
        """0 where dropped, `kept` = 1 / (1 - p) where kept; 1 in inference and where p is 0."""
        threshold = op(f, o, THRESHOLD)
        if about(f, TRAINING) == 0 or threshold == 0:
            return one
        seed, step = np.uint64(about(f, SEED)), about(f, STEP) + i
        word = random_word(seed, step, op(f, o, LAYER), row, column)
        return kept if word >= np.uint64(threshold) else zero

    return chain, dropout_factor


@cache
def columns_of(element: Any) -> tuple[Any, Any, Any]:
    """The operations of a stage of columns, there and back, and the update of slopes that columns share."""
    zero, one = element(0.0), element(1.0)
    activate, slope = activations_of(element)
    _, dropout_factor = chains_of(element)
    learn = updates_of(element)

    @pure
    def normalise(f: Any, s: int, o: int, n: int, h: int) -> None:
        """y = γ x̂ + β, x̂ = (x - μ) / √(σ² + eps); μ and 1 / √(σ² + eps) are kept."""
        features, row, running = stage(f, s, N_OUT), stage(f, s, ROW), about(f, BUFFERS) + op(f, o, RUNNING)
        source, result, kept = op(f, o, SOURCE) + h, op(f, o, RESULT) + h, op(f, o, KEPT)
        mean, variance = ld1(f.state, running + h), ld1(f.state, running + features + h)
        if about(f, TRAINING) != 0 and op(f, o, BY_BATCH) != 0:
            total, count, momentum = zero, element(n), op_constant(f, o, 1)
            j = 0
            while j < n:
                total += ld1(f.work, source + j * row)
                j += 1
            old_mean, old_variance, mean, total = mean, variance, total / count, zero
            j = 0
            while j < n:
                centred = ld1(f.work, source + j * row) - mean
                total += centred * centred
                j += 1
            variance = total / count
            unbiased = variance * (count / (count - one))
            st1(f.state, running + h, (one - momentum) * old_mean + momentum * mean)
            st1(f.state, running + features + h, (one - momentum) * old_variance + momentum * unbiased)
        inverse = one / sqrt(variance + op_constant(f, o, 0))
        st1(f.work, kept + h, mean)
        st1(f.work, kept + features + h, inverse)
        weight, bias = ld1(f.work, op(f, o, SCALES) + h), ld1(f.work, op(f, o, OFFSETS) + h)
        j = 0
        while j < n:
            x_hat = (ld1(f.work, source + j * row) - mean) * inverse
            st1(f.work, result + j * row, weight * x_hat + bias)
            j += 1

    @pure
    def unnormalise(f: Any, s: int, o: int, i: int, n: int, h: int) -> None:
        """dx = γ / √(σ² + eps) · (dy - mean(dy) - x̂ · mean(dy · x̂)); γ and β learn."""
        features, row = stage(f, s, N_OUT), stage(f, s, ROW)
        source, d, kept = op(f, o, SOURCE) + h, stage(f, s, GRADIENT) + h, op(f, o, KEPT)
        mean, inverse = ld1(f.work, kept + h), ld1(f.work, kept + features + h)
        d_weight = d_bias = zero
        j = 0
        while j < n:
            dy = ld1(f.work, d + j * row)
            d_weight += dy * ((ld1(f.work, source + j * row) - mean) * inverse)
            d_bias += dy
            j += 1
        share, shear, count = d_bias, d_weight, element(n)
        if about(f, TRAINING) == 0 or op(f, o, BY_BATCH) == 0:  # running statistics do not depend on x
            share = shear = zero
        share, shear = share / count, shear / count
        scale = ld1(f.work, op(f, o, SCALES) + h) * inverse
        j = 0
        while j < n:
            x_hat = (ld1(f.work, source + j * row) - mean) * inverse
            st1(f.work, d + j * row, scale * (ld1(f.work, d + j * row) - share - x_hat * shear))
            j += 1
        if op(f, o, OP_LEARNS) != 0:
            learn(f, i, op(f, o, SCALES) + h, d_weight, False)
            learn(f, i, op(f, o, OFFSETS) + h, d_bias, False)

    @pure
    def forward(f: Any, s: int, i: int, n: int) -> None:
        """All operations of stage s, its columns shared out among the workers."""
        row, h = stage(f, s, ROW), f.worker
        while h < stage(f, s, N_OUT):
            for o in range(stage(f, s, FIRST_OP), stage(f, s, LAST_OP)):
                kind, a, b = op(f, o, KIND), op_constant(f, o, 0), op_constant(f, o, 1)
                if kind == BATCH_NORM:
                    normalise(f, s, o, n, h)
                    continue
                source, result = op(f, o, SOURCE) + h, op(f, o, RESULT) + h
                if kind in (SLOPE, SLOPES):
                    a = ld1(f.work, op(f, o, SCALES) + (h if kind == SLOPES else 0))
                j = 0
                while j < n:
                    x = ld1(f.work, source + j * row)
                    if kind == DROPOUT:
                        y = x * dropout_factor(f, o, i, j, h, b)
                    elif kind in (SLOPE, SLOPES):
                        y = x if x > zero else a * x
                    else:
                        y = activate(kind, x, a, b)
                    st1(f.work, result + j * row, y)
                    j += 1
            h += f.workers

    @pure
    def backward(f: Any, s: int, i: int, n: int) -> None:
        """The way back through all operations of stage s: its gradient becomes that of z, and parameters learn."""
        row, first, h = stage(f, s, ROW), stage(f, s, FIRST_OP), f.worker
        while h < stage(f, s, N_OUT):
            d = stage(f, s, GRADIENT) + h
            o = stage(f, s, LAST_OP) - 1
            while o >= first:
                kind, a, b = op(f, o, KIND), op_constant(f, o, 0), op_constant(f, o, 1)
                if kind == BATCH_NORM:
                    unnormalise(f, s, o, i, n, h)
                elif kind in (SLOPE, SLOPES):
                    through_slopes(f, s, o, i, n, h, kind)
                else:
                    j = 0
                    while j < n:
                        if kind == DROPOUT:
                            factor = dropout_factor(f, o, i, j, h, b)
                        else:
                            factor = slope(kind, ld1(f.work, op(f, o, SOURCE) + h + j * row), a, b)
                        st1(f.work, d + j * row, ld1(f.work, d + j * row) * factor)
                        j += 1
                o -= 1
            h += f.workers

    @pure
    def through_slopes(f: Any, s: int, o: int, i: int, n: int, h: int, kind: int) -> None:
        """A PReLU: the column's share of a slope that all share is kept, to be summed later."""
        row, place = stage(f, s, ROW), op(f, o, SCALES) + (h if kind == SLOPES else 0)
        source, d = op(f, o, SOURCE) + h, stage(f, s, GRADIENT) + h
        a, total = ld1(f.work, place), zero
        j = 0
        while j < n:
            x, dy = ld1(f.work, source + j * row), ld1(f.work, d + j * row)
            if not x > zero:
                total += x * dy
                st1(f.work, d + j * row, a * dy)
            j += 1
        if kind == SLOPES and op(f, o, OP_LEARNS) != 0:
            learn(f, i, place, total, False)
        elif kind == SLOPE:
            st1(f.work, op(f, o, KEPT) + h, total)

    @pure
    def learn_shared_slopes(f: Any, i: int) -> None:
        """The slopes that all features share, from what each column kept, in their order."""
        for s in range(about(f, N_STAGES)):
            for o in range(stage(f, s, FIRST_OP), stage(f, s, LAST_OP)):
                if op(f, o, KIND) == SLOPE and op(f, o, OP_LEARNS) != 0:
                    total = zero
                    for h in range(stage(f, s, N_OUT)):
                        total += ld1(f.work, op(f, o, KEPT) + h)
                    learn(f, i, op(f, o, SCALES), total, False)

    return forward, backward, learn_shared_slopes
