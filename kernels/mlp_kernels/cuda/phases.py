"""The phases of a training step: what many threads can do without waiting for each other.

    GATHER             the batch, and the operations on the input if these are pointwise
    COLUMNS s          the operations of a stage of columns
    PRODUCT s          z = x Wᵀ + b of a stage, and its operations if these are pointwise
    LOSS               loss, accuracy and gradient of each sample
    COLUMNS_BACK s     the way back through a stage of columns
    BACK s             the gradient of the stage below s, while the weights of the stage above s learn: nobody reads
                       those any more
    LEARN s            the last phase: the weights of the stages 1 to s + 1 learn, those that have not yet, and slopes
                       that are shared; the figures of the step. Weights that are frozen are passed over
    CONCLUDE           the last two of these alone, where something else has done the rest

Every thread runs this same code on its share of rows, columns or tiles. What it computes depends on where it works
and not on how many there are: sums over threads don't exist, so one block and a whole grid give the same bits.
"""

from functools import cache
from typing import Any

from mlp_kernels.cuda.device import ld1, st1
from mlp_kernels.cuda.losses import losses_of
from mlp_kernels.cuda.network import (
    ACCURACIES,
    BATCH,
    BY_COLUMNS,
    FIGURES,
    FIRST_OP,
    GRADIENT,
    LAST_OP,
    LEARNS,
    N_OUT,
    N_STAGES,
    N_TARGETS,
    ORDER,
    OUTPUT,
    PRODUCT,
    ROW,
    SAMPLES,
    SHARES,
    TARGETS,
    VALUES,
    X,
    about,
    stage,
)
from mlp_kernels.cuda.operations import chains_of, columns_of
from mlp_kernels.cuda.products import dense_of
from mlp_kernels.cuda.pure import pure

GATHER, COLUMNS, DENSE, LOSS, COLUMNS_BACK, BACK, LEARN, CONCLUDE = range(8)


@pure
def batch_of(f: Any, i: int) -> Any:
    """Batch i of the call: its epoch, where it begins in the epoch's order, and its samples: the last may be short.

    Several epochs follow each other in a call where each one's order is drawn when it begins.
    """
    samples, size = about(f, SAMPLES), about(f, BATCH)
    steps = max((samples + size - 1) // size, 1)
    epoch = i // steps
    start = (i - epoch * steps) * size
    return epoch, start, min(size, samples - start)


@cache
def phases_of(element: Any, side: int) -> Any:
    """The function run(f, phase, s, i, start, n): a thread's share of a phase of step i of the call.

    Its batch are the n samples from number `start` of the order on.
    """
    zero = element(0.0)
    chain, _ = chains_of(element)
    columns_forward, columns_backward, learn_shared_slopes = columns_of(element)
    loss_of_sample = losses_of(element)
    dense = dense_of(element, side)
    forward, backward, learn_weights = dense.forward, dense.backward, dense.learn

    @pure
    def gather(f: Any, i: int, start: int, n: int) -> None:
        """The samples of the batch, a row of `work` each."""
        features, row = stage(f, 0, N_OUT), stage(f, 0, ROW)
        order = about(f, ORDER) + start
        has_chain = stage(f, 0, BY_COLUMNS) == 0 and stage(f, 0, FIRST_OP) < stage(f, 0, LAST_OP)
        at = f.worker
        while at < n * features:
            j, c = at // features, at % features
            x = ld1(f.data, about(f, X) + ld1(f.tables, order + j) * features + c)
            st1(f.work, stage(f, 0, PRODUCT) + j * row + c, x)
            if has_chain:
                y, _ = chain(f, 0, i, j, c, x)
                st1(f.work, stage(f, 0, OUTPUT) + j * row + c, y)
            at += f.workers

    @pure
    def loss(f: Any, i: int, start: int, n: int) -> None:
        """Each sample's loss and accuracy, and the gradient with respect to the last stage's z."""
        s = about(f, N_STAGES) - 1
        outputs, row, width = stage(f, s, N_OUT), stage(f, s, ROW), max(about(f, N_TARGETS), 1)
        has_chain = stage(f, s, BY_COLUMNS) == 0 and stage(f, s, FIRST_OP) < stage(f, s, LAST_OP)
        j = f.worker
        while j < n:
            place = start + j
            t = about(f, TARGETS) + ld1(f.tables, about(f, ORDER) + place) * width
            z, dz = stage(f, s, OUTPUT) + j * row, stage(f, s, GRADIENT) + j * row
            share = ld1(f.feed, about(f, SHARES) + place)
            value, accuracy = loss_of_sample(f, z, t, dz, outputs, share)
            st1(f.work, about(f, VALUES) + j, value)
            st1(f.work, about(f, ACCURACIES) + j, accuracy)
            if has_chain:
                for c in range(outputs):
                    _, derivative = chain(f, s, i, j, c, ld1(f.work, stage(f, s, PRODUCT) + j * row + c))
                    st1(f.work, dz + c, ld1(f.work, dz + c) * derivative)
            j += f.workers

    @pure
    def record(f: Any, i: int, n: int) -> None:
        """Loss and accuracy of the batch, summed over its samples in order."""
        value = accuracy = zero
        j = 0
        while j < n:
            value += ld1(f.work, about(f, VALUES) + j)
            accuracy += ld1(f.work, about(f, ACCURACIES) + j)
            j += 1
        st1(f.feed, about(f, FIGURES) + 2 * i, value)
        st1(f.feed, about(f, FIGURES) + 2 * i + 1, accuracy / element(n))

    @pure
    def conclude(f: Any, i: int, n: int) -> None:
        """What is left for one thread: the one with the least other work."""
        if f.worker == f.workers - 1:
            record(f, i, n)
            learn_shared_slopes(f, i)

    @pure
    def run(f: Any, phase: int, s: int, i: int, start: int, n: int) -> None:
        if phase == GATHER:
            gather(f, i, start, n)
        elif phase == DENSE:
            forward(f, s, i, n)
        elif phase == COLUMNS:
            columns_forward(f, s, i, n)
        elif phase == LOSS:
            loss(f, i, start, n)
        elif phase == COLUMNS_BACK:
            columns_backward(f, s, i, n)
        else:
            if phase == BACK:
                backward(f, s, i, n)
            above = s + 1 if phase == BACK else 1
            while phase != CONCLUDE and above <= s + 1 and above < about(f, N_STAGES):
                if stage(f, above, LEARNS) != 0:
                    learn_weights(f, above, i, n)
                above += 1
            if phase != BACK:
                conclude(f, i, n)

    return run
