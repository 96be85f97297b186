"""Many training steps in one compiled call, on one thread or several.

    epoch: draw the order of the samples | meet
    step:  gather the batch | meet | product + operations of a stage, for each | meet
           | loss, panel by panel | meet | operations of the last stage in reverse, transpose | meet
           | for each stage backwards: dx, operations in reverse, transpose, dW + update | meet | biases

Every thread runs this same function on its share of features or panels, helps those who are late with theirs, and
meets the others where it needs what they wrote (`sections.py`). What a thread computes depends on where it works, never
on how many there are: an element of any result is one sum in one order, and sums over threads don't exist. So the bits
are the same for any number of threads.

Names, here and in what the loop calls:

    f             the `Frame`: pointers to all that a call works on, see `frame.py`
    s             a stage, the input or a dense layer with its operations, see `network.py`
    n             the samples of this batch
    begin, end    a range of features (or of panels, or samples, where that is said), `end` the first one beyond it
    sources       room for the addresses of a panel's samples
    round_        the number of the next meeting, which also names the section before it in `claims.py`
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.frame import frame, stage
from mlp_kernels.cpu.memory import load, local, pointer_to, shift
from mlp_kernels.cpu.native import call_for_int
from mlp_kernels.cpu.network import ACCURACIES, HYPER, N_OUT, OUTPUT, ROWS, SHARES, VALUES, WAY_BACK, WAY_FORWARD
from mlp_kernels.cpu.operations import update_vectors
from mlp_kernels.cpu.references import reference
from mlp_kernels.cpu.sections import gather_batch, loss_gradient
from mlp_kernels.cpu.shuffling import shuffle
from mlp_kernels.cpu.threads import meet, share
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.totals import float64_total
from mlp_kernels.cpu.updates import CORRECTIONS, STEPS_AT_ONCE, set_corrections, set_hyper_parameters


@kernel
def train(
    tile: Tile,
    net: Any,
    memory: Any,
    batches: Any,
    first: int,
    steps: int,
    training: bool,
    losses: Any,
    accuracies: Any,
    thread: int,
    threads: int,
) -> int:
    """Take `steps` steps from number `first` of `batches`, as one of `threads` threads; returns how many were taken.

    `losses` and `accuracies` get the figures of each step, measured before its update. `training` is False for a
    gradient in inference mode. Fewer than `steps` are taken only where weights are trained in place, and the next step
    is not safe (`safe_steps.py`).
    """
    f = reference(frame(net, memory, batches.data, batches.targets, batches.weights))
    sources, corrections = local(tile, np.int64), local(CORRECTIONS, np.float64)
    hyper = shift(f.arena, load(f.places, HYPER))
    round_, samples = 1, batches.order.size
    steps_an_epoch = (samples + batches.size - 1) // batches.size
    epoch = batches.epoch + (batches.position + first) // steps_an_epoch
    position = (batches.position + first) % steps_an_epoch
    for i in range(first, first + steps):
        if position == steps_an_epoch:
            epoch, position = epoch + 1, 0
        if batches.shuffle and (i == first or position == 0):
            if thread == 0:
                _draw_order(batches, epoch)
            round_ = meet(f.board, round_, threads)
        order = shift(pointer_to(batches.order), position * batches.size)
        n = min(batches.size, samples - position * batches.size)
        position += 1
        step = batches.step + i
        if thread == 0:
            ahead = (i - first) % STEPS_AT_ONCE
            if ahead == 0:
                set_corrections(f.optimizer_constants, step, corrections)
            correction = shift(corrections, ahead)
            set_hyper_parameters(f.optimizer_constants, batches.lr[i], correction, hyper)
        gather_batch(tile, f, order, n, sources, thread, threads, round_)
        round_ = meet(f.board, round_, threads)
        to_go = tile, f, n, training, batches.seed, step, thread, threads, round_
        round_ = call_for_int(load(f.code, WAY_FORWARD), to_go)
        loss_gradient(tile, f, order, n, sources, thread, threads)
        round_ = meet(f.board, round_, threads)
        if thread == 0:
            losses[i], accuracies[i] = _figures(tile, f, n)
        back = tile, f, n, losses[i], training, thread, threads, round_
        round_ = call_for_int(load(f.code, WAY_BACK), back)
        if round_ == 0:
            return i - first
        if thread == 0:
            update_vectors(tile, f)
    return steps


@kernel
def _draw_order(batches: Any, epoch: int) -> None:
    """The order of an epoch, unless it is there from the call before."""
    if batches.drawn[0] != epoch:
        shuffle(batches.seed, epoch, batches.rows, batches.order)
        batches.drawn[0] = epoch


@kernel
def infer(
    tile: Tile, net: Any, memory: Any, data: Any, order: Any, size: int, out: Any, thread: int, threads: int
) -> None:
    """Logits of the samples `order` into rows of `out` (N, K), in inference mode, `size` at a time."""
    training, seed, step = False, np.uint64(0), 0  # the last two inference does not look at
    f = reference(frame(net, memory, data, data, data))
    sources = local(tile, np.int64)
    round_, last = 1, f.n_stages - 1
    outputs, rows, width = stage(f, last, N_OUT), stage(f, last, ROWS), tile.columns
    z = shift(f.arena, stage(f, last, OUTPUT))
    for first in range(0, order.size, size):
        n = min(size, order.size - first)
        gather_batch(tile, f, shift(pointer_to(order), first), n, sources, thread, threads, round_)
        round_ = meet(f.board, round_, threads)
        round_ = call_for_int(load(f.code, WAY_FORWARD), (tile, f, n, training, seed, step, thread, threads, round_))
        begin, end = share(n, thread, threads)
        for j in range(begin, end):
            for k in range(outputs):
                out[first + j, k] = load(z, (j // width * rows + k) * width + j % width)


@kernel
def _figures(tile: Tile, f: Any, n: int) -> Any:
    """The loss of the batch, a sum over its samples weighted by their shares, and its accuracy, a plain mean."""
    width, total, right = tile.columns, 0.0, 0.0
    for first in range(0, n, width):
        shares, values = shift(f.arena, load(f.places, SHARES) + first), shift(f.arena, load(f.places, VALUES) + first)
        accuracies = shift(f.arena, load(f.places, ACCURACIES) + first)
        total += float64_total(tile, values, shares, n - first)
        right += float64_total(tile, accuracies, None, n - first)
    return total, right / n
