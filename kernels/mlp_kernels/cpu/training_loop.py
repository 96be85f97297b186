"""Many training steps in one compiled call, on one thread or several.

    epoch: draw the order of the samples | meet
    step:  gather the batch | meet | product + operations of a stage, for each | meet
           | loss, panel by panel | meet | operations of the last stage in reverse, transpose | meet
           | for each stage backwards: dx, operations in reverse, transpose, dW + update | meet | biases

Every thread runs this same function on its share of features or panels, and meets the others where it needs what
they wrote. What a thread computes depends on where it works, never on how many there are: an element of any result
is one sum in one order, and sums over threads don't exist. So the bits are the same for any number of threads.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.blocks import BLOCK_ROWS
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.dense import (
    ends_in_relu,
    finish_gradient,
    input_gradient,
    product,
    update_weights,
)
from mlp_kernels.cpu.gather import GATHER, gather_shares, gather_targets, total_weight
from mlp_kernels.cpu.memory import load, local, pointer_to, shift
from mlp_kernels.cpu.native import call
from mlp_kernels.cpu.network import (
    ACCURACIES,
    FIRST_OP,
    HYPER,
    IN_PLACE,
    JUDGE,
    LAST_OP,
    LOSS,
    LOWEST,
    N_OUT,
    NOTE,
    OUTPUT,
    OWN_INPUT,
    PRODUCT,
    ROWS,
    SCRATCH,
    SCRATCH_STEP,
    SHARES,
    VALUES,
    VECTORS,
    frame,
    gradient_of,
    stage,
    transposed_of,
)
from mlp_kernels.cpu.operations import run_backward, run_forward, update_vectors
from mlp_kernels.cpu.owners import owned_inputs, owned_outputs, owned_weights, passes_on
from mlp_kernels.cpu.safe_steps import IS_SAFE
from mlp_kernels.cpu.shuffling import shuffle
from mlp_kernels.cpu.small_batch import MOST_FORWARD
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
    gradient in inference mode. All steps are taken, but of weights that stay where the model has them: see
    `safe_steps.py`.
    """
    f = frame(net, memory, batches.data, batches.targets, batches.weights)
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
            round_ = meet(f.meeting, round_, threads)
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
        _gather(tile, f, order, n, sources, thread, threads)
        round_ = meet(f.meeting, round_, threads)
        round_ = _forward(tile, f, n, training, batches.seed, step, thread, threads, round_)
        _loss(tile, f, order, n, sources, thread, threads)
        round_ = meet(f.meeting, round_, threads)
        if thread == 0:
            losses[i], accuracies[i] = _figures(tile, f, n)
        round_ = _backward(tile, f, n, losses[i], training, thread, threads, round_)
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
    # Variables, for with numbers in the call Numba would compile the way forward once more, for these alone.
    training, seed, step = size < 0, np.uint64(size), size
    f = frame(net, memory, data, data, data)
    sources = local(tile, np.int64)
    round_, last = 1, f.n_stages - 1
    outputs, rows, width = stage(f, last, N_OUT), stage(f, last, ROWS), tile.columns
    z = shift(f.arena, stage(f, last, OUTPUT))
    for first in range(0, order.size, size):
        n = min(size, order.size - first)
        _gather(tile, f, shift(pointer_to(order), first), n, sources, thread, threads)
        round_ = meet(f.meeting, round_, threads)
        round_ = _forward(tile, f, n, training, seed, step, thread, threads, round_)
        begin, end = share(n, thread, threads)
        for j in range(begin, end):
            for k in range(outputs):
                out[first + j, k] = load(z, (j // width * rows + k) * width + j % width)


@kernel
def _gather(tile: Tile, f: Any, order: Any, n: int, sources: Any, thread: int, threads: int) -> None:
    """The batch, a share of its panels, or of the features of each where there are fewer panels than threads.

    Or all of it, where the thread has an input of its own.
    """
    width = tile.columns
    x = shift(f.arena, stage(f, 0, PRODUCT))
    if load(f.places, OWN_INPUT) != 0:
        thread, threads = 0, 1
    features, rows, panels = stage(f, 0, N_OUT), stage(f, 0, ROWS), (n + width - 1) // width
    if panels >= threads:
        begin, end = share(panels, thread, threads)
        first, last = 0, features
    else:
        begin, end = 0, panels
        first, last = share((features + tile.lanes - 1) // tile.lanes, thread, threads)
        first, last = first * tile.lanes, min(last * tile.lanes, features)
    for b in range(begin, end):
        call(load(f.data, GATHER), (tile, f.data, first, last, order, n, rows, b, x, sources))


@kernel
def _forward(
    tile: Tile,
    f: Any,
    n: int,
    training: bool,
    seed: Any,
    step: int,
    thread: int,
    threads: int,
    round_: int,
) -> int:
    """All stages; returns the number of the next meeting."""
    for s in range(f.n_stages):
        if s == 0 and stage(f, 0, FIRST_OP) == stage(f, 0, LAST_OP):
            continue
        begin, end = owned_outputs(tile, f, s, n, thread, threads)
        if s > 0:
            product(tile, f, s, begin, end, n)
        run_forward(tile, f, s, begin, end, n, training, seed, step, thread)
        round_ = meet(f.meeting, round_, threads)
    return round_


@kernel
def _loss(tile: Tile, f: Any, order: Any, n: int, sources: Any, thread: int, threads: int) -> None:
    """Loss, accuracy and gradient of a share of the panels."""
    width, last = tile.columns, f.n_stages - 1
    outputs, rows = stage(f, last, N_OUT), stage(f, last, ROWS)
    t = shift(f.arena, load(f.places, SCRATCH) + thread * load(f.places, SCRATCH_STEP))
    largest, total = total_weight(f.weights, order, n, f.arena)
    begin, end = share((n + width - 1) // width, thread, threads)
    for b in range(begin, end):
        shares = shift(f.arena, load(f.places, SHARES) + b * width)
        gather_shares(tile, f.weights, order, n, b, largest, total, shares)
        gather_targets(tile, f.targets, outputs, order, n, b, load(f.loss_constants, 1), t, sources)
        panel = b * rows * width
        z, dz = shift(f.arena, stage(f, last, OUTPUT) + panel), shift(gradient_of(f, last), panel)
        values = shift(f.arena, load(f.places, VALUES) + b * width)
        accuracies = shift(f.arena, load(f.places, ACCURACIES) + b * width)
        constant, samples = load(f.loss_constants, 0), min(width, n - b * width)
        call(load(f.code, LOSS), (tile, z, t, dz, outputs, samples, shares, values, accuracies, constant))


@kernel
def _figures(tile: Tile, f: Any, n: int) -> Any:
    """Loss and accuracy of the batch, summed over its samples."""
    width, total, right = tile.columns, 0.0, 0.0
    for first in range(0, n, width):
        shares, values = shift(f.arena, load(f.places, SHARES) + first), shift(f.arena, load(f.places, VALUES) + first)
        accuracies = shift(f.arena, load(f.places, ACCURACIES) + first)
        total += float64_total(tile, values, shares, n - first)
        right += float64_total(tile, accuracies, None, n - first)
    return total, right / n


@kernel
def _backward(tile: Tile, f: Any, n: int, loss: float, training: bool, thread: int, threads: int, round_: int) -> int:
    """All stages down to the lowest that learns, with the updates; returns the number of the next meeting.

    In place it is all gradients of activations first, then all updates: or none, and 0 is returned.
    """
    last, in_place = f.n_stages - 1, load(f.places, IN_PLACE) != 0
    begin, end = owned_inputs(tile, stage(f, last, N_OUT), thread, threads)
    dz = gradient_of(f, last)
    run_backward(tile, f, last, dz, begin, end, n, training, thread)
    finish_gradient(tile, f, last, dz, transposed_of(f, last), begin, end, n)
    round_ = meet(f.meeting, round_, threads)
    for turn in range(2 if in_place else 1):
        gradients, updates = turn == 0, turn == 1 or not in_place
        if turn == 1:
            round_ = _judge(tile, f, n, loss, thread, threads, round_)
            if load(f.bounds, IS_SAFE) == 0.0:
                return 0
        for s in range(last, max(load(f.places, LOWEST), 1) - 1, -1):
            goes_on = passes_on(f, s)
            begin, end, panel, last_panel = owned_weights(tile, f, s, thread, threads)
            # Blocks share what their rows of weights or samples leave in the caches; of a few samples that is nothing.
            rows = BLOCK_ROWS if goes_on or n > MOST_FORWARD else max(1, end - begin)
            for row in range(begin, end, rows):
                stop = min(row + rows, end)
                if goes_on and gradients:
                    dx = gradient_of(f, s - 1)
                    input_gradient(tile, f, s, gradient_of(f, s), transposed_of(f, s), dx, row, stop, n)
                    if not ends_in_relu(f, s - 1):
                        run_backward(tile, f, s - 1, dx, row, stop, n, training, thread)
                    if s > 1:
                        finish_gradient(tile, f, s - 1, dx, transposed_of(f, s - 1), row, stop, n)
                if updates:
                    gradient, whose = (gradient_of(f, s), transposed_of(f, s)), (panel, last_panel, row, stop)
                    update_weights(tile, f, s, *gradient, *whose, n, thread)
            round_ = meet(f.meeting, round_, threads)
    return round_


@kernel
def _judge(tile: Tile, f: Any, n: int, loss: float, thread: int, threads: int, round_: int) -> int:
    """Whether the step at hand is safe, into `bounds`; returns the number of the next meeting.

    The first thread knows the loss.
    """
    sizes, whose = (load(f.places, LOWEST), f.n_stages), (n, thread, threads)
    call(load(f.code, NOTE), (tile, f.stages, *sizes, f.arena, f.bounds, *whose))
    round_ = meet(f.meeting, round_, threads)
    if thread == 0:
        gradients, buffers = (f.gradients, load(f.places, VECTORS)), (f.buffers, f.before, f.n_buffers)
        hyper, is_adam = shift(f.arena, load(f.places, HYPER)), 1 if load(f.optimizer_constants, 6) < 0.0 else 0
        call(load(f.code, JUDGE), (tile, f.bounds, n, threads, loss, *gradients, *buffers, hyper, is_adam))
    return meet(f.meeting, round_, threads)
