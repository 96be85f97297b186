"""The sections of a step, as one of several threads takes part in them.

Between two meetings nobody reads what another one writes, so that whoever is done may help: see `claims.py`.
"""

from typing import Any

from numba import types

from mlp_kernels.cpu.blocks import BLOCK_ROWS
from mlp_kernels.cpu.claims import claim, next_owner, pieces
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.dense import (
    ends_in_relu,
    few_forward,
    finish_gradient,
    input_gradient,
    product,
    update_weights,
)
from mlp_kernels.cpu.frame import frame_type, gradient_of, stage, transposed_of
from mlp_kernels.cpu.gather import GATHER, gather_shares, gather_targets, total_weight
from mlp_kernels.cpu.memory import load, shift
from mlp_kernels.cpu.native import INT, REAL, address, call
from mlp_kernels.cpu.network import (
    ACCURACIES,
    FIRST_OP,
    HYPER,
    IN_PLACE,
    JUDGE,
    LAST_OP,
    LEARNS,
    LEAST,
    LOSS,
    LOSS_CONSTANT,
    LOWEST,
    N_IN,
    N_OUT,
    NOTE,
    OUTPUT,
    OWN_INPUT,
    PRODUCT,
    ROWS,
    SCRATCH,
    SCRATCH_STEP,
    SHARES,
    SMOOTHING,
    VALUES,
    VECTORS,
)
from mlp_kernels.cpu.operations import add_up_shared_slopes, run_backward, run_forward
from mlp_kernels.cpu.owners import keeps_panels, owned_features, owned_outputs, owned_weights, passes_on
from mlp_kernels.cpu.safe_steps import IS_SAFE
from mlp_kernels.cpu.small_batch import MOST_FORWARD
from mlp_kernels.cpu.threads import meet, share
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.updates import is_adam

GATHERING = 8
"""Operations that gathering a number counts as."""


@kernel
def gather_batch(tile: Tile, f: Any, order: Any, n: int, sources: Any, thread: int, threads: int, round_: int) -> None:
    """The batch, a share of its panels, or of the features of each where there are fewer panels than threads.

    Or all of it, where the thread has an input of its own.
    """
    if load(f.places, OWN_INPUT) != 0:
        thread, threads = 0, 1
    features, panels = stage(f, 0, N_OUT), (n + tile.columns - 1) // tile.columns
    x, rows = shift(f.arena, stage(f, 0, PRODUCT)), stage(f, 0, ROWS)
    if panels < threads:
        first, last = share((features + tile.lanes - 1) // tile.lanes, thread, threads)
        first, last = first * tile.lanes, min(last * tile.lanes, features)
        for b in range(panels):
            call(load(f.data, GATHER), (tile, f.data, first, last, order, n, rows, b, x, sources))
        return
    unit, claimants = pieces(panels, 1, GATHERING * n * features, load(f.places, LEAST), threads)
    for i in range(claimants):
        owner = next_owner(thread, i, threads)
        done, last = share(panels, owner, threads)
        while done < last:
            begin, done = claim(f.board, round_, owner, done, last, unit, claimants)
            for b in range(begin, done):
                call(load(f.data, GATHER), (tile, f.data, 0, features, order, n, rows, b, x, sources))


def forward(
    tile: Tile, f: Any, n: int, training: bool, seed: Any, step: int, thread: int, threads: int, round_: int
) -> int:
    """All stages; returns the number of the next meeting. Called as `WAY_FORWARD` of the network's code."""
    for s in range(f.n_stages):
        if s == 0 and stage(f, 0, FIRST_OP) == stage(f, 0, LAST_OP):
            continue
        outputs, unit = stage(f, s, N_OUT), tile.columns if few_forward(f, s, n) else tile.rows
        work = 2 * n * stage(f, s, N_IN) * outputs
        unit, claimants = pieces(outputs, unit, work, load(f.places, LEAST), threads)
        for i in range(claimants):
            owner = next_owner(thread, i, threads)
            done, last = owned_outputs(tile, f, s, n, owner, threads)
            while done < last:
                begin, done = claim(f.board, round_, owner, done, last, unit, claimants)
                if s > 0:
                    product(tile, f, s, begin, done, n)
                run_forward(tile, f, s, begin, done, n, training, seed, step, thread)
        round_ = meet(f.board, round_, threads)
    return round_


@kernel
def loss_gradient(tile: Tile, f: Any, order: Any, n: int, sources: Any, thread: int, threads: int) -> None:
    """Loss, accuracy and gradient of a share of the panels."""
    width, last = tile.columns, f.n_stages - 1
    outputs, rows = stage(f, last, N_OUT), stage(f, last, ROWS)
    t = shift(f.arena, load(f.places, SCRATCH) + thread * load(f.places, SCRATCH_STEP))
    largest, total = total_weight(f.weights, order, n, f.arena)
    begin, end = share((n + width - 1) // width, thread, threads)
    for b in range(begin, end):
        shares = shift(f.arena, load(f.places, SHARES) + b * width)
        gather_shares(tile, f.weights, order, n, b, largest, total, shares)
        gather_targets(tile, f.targets, outputs, order, n, b, load(f.loss_constants, SMOOTHING), t, sources)
        panel = b * rows * width
        z, dz = shift(f.arena, stage(f, last, OUTPUT) + panel), shift(gradient_of(f, last), panel)
        values = shift(f.arena, load(f.places, VALUES) + b * width)
        accuracies = shift(f.arena, load(f.places, ACCURACIES) + b * width)
        constant, samples = load(f.loss_constants, LOSS_CONSTANT), min(width, n - b * width)
        call(load(f.code, LOSS), (tile, z, t, dz, outputs, samples, shares, values, accuracies, constant))


def backward(tile: Tile, f: Any, n: int, loss: float, training: bool, thread: int, threads: int, round_: int) -> int:
    """All stages down to the lowest that learns, with the updates; returns the number of the next meeting.

    Called as `WAY_BACK` of the network's code.

    With weights in place the gradients of all activations come first. If the step then turns out not to be safe, no
    weight is updated and 0 is returned, which is the number of no meeting.
    """
    last, in_place = f.n_stages - 1, load(f.places, IN_PLACE) != 0
    begin, end = owned_features(tile, stage(f, last, N_OUT), thread, threads)
    dz = gradient_of(f, last)
    run_backward(tile, f, last, dz, begin, end, n, training, thread)
    finish_gradient(tile, f, last, dz, transposed_of(f, last), begin, end, n)
    round_ = meet(f.board, round_, threads)
    for part in range(2 if in_place else 1):
        gradients, updates = part == 0, part == 1 or not in_place
        if part == 1:
            round_ = _judge(tile, f, n, loss, thread, threads, round_)
            if load(f.bounds, IS_SAFE) == 0.0:
                return 0
        round_ = _stages_backward(tile, f, n, gradients, updates, training, thread, threads, round_)
    return round_


@kernel
def _stages_backward(
    tile: Tile, f: Any, n: int, gradients: bool, updates: bool, training: bool, thread: int, threads: int, round_: int
) -> int:
    """The gradients of activations, the updates of weights, or both, of all stages; returns the next meeting."""
    for s in range(f.n_stages - 1, max(load(f.places, LOWEST), 1) - 1, -1):
        inputs, goes_on, learns = stage(f, s, N_IN), gradients and passes_on(f, s), updates and stage(f, s, LEARNS) != 0
        shared = inputs * threads if threads > 1 and keeps_panels(tile, f, s, threads) else inputs
        work = (4 if goes_on and learns else 2) * n * inputs * stage(f, s, N_OUT)
        unit, claimants = pieces(shared, max(tile.rows, tile.lanes), work, load(f.places, LEAST), threads)
        for i in range(claimants if goes_on or learns else 0):
            owner = next_owner(thread, i, threads)
            done, last, panel, last_panel = owned_weights(tile, f, s, owner, threads)
            while done < last:
                begin, done = claim(f.board, round_, owner, done, last, unit, claimants)
                # Blocks share what their rows of weights or samples leave in the caches; of a few that is nothing.
                rows = BLOCK_ROWS if goes_on or n > MOST_FORWARD else max(1, done - begin)
                for row in range(begin, done, rows):
                    stop = min(row + rows, done)
                    if goes_on:
                        _input_gradient(tile, f, s, row, stop, n, training, thread)
                    if learns:
                        dz, dz_transposed = gradient_of(f, s), transposed_of(f, s)
                        update_weights(tile, f, s, dz, dz_transposed, panel, last_panel, row, stop, n, thread)
        round_ = meet(f.board, round_, threads)
    return round_


@kernel
def _input_gradient(tile: Tile, f: Any, s: int, begin: int, end: int, n: int, training: bool, thread: int) -> None:
    """What stage `s` hands on to the stage below: the gradient of its product, features `begin` to `end`."""
    dx = gradient_of(f, s - 1)
    input_gradient(tile, f, s, gradient_of(f, s), transposed_of(f, s), dx, begin, end, n)
    if not ends_in_relu(f, s - 1):
        run_backward(tile, f, s - 1, dx, begin, end, n, training, thread)
    if s > 1:
        finish_gradient(tile, f, s - 1, dx, transposed_of(f, s - 1), begin, end, n)


@kernel
def _judge(tile: Tile, f: Any, n: int, loss: float, thread: int, threads: int, round_: int) -> int:
    """Whether the step at hand is safe, into `bounds`; returns the number of the next meeting.

    The first thread knows the loss.
    """
    lowest = load(f.places, LOWEST)
    call(load(f.code, NOTE), (tile, f.stages, lowest, f.n_stages, f.arena, f.bounds, n, thread, threads))
    round_ = meet(f.board, round_, threads)
    if thread == 0:
        add_up_shared_slopes(f)
        gradients, buffers = (f.gradients, load(f.places, VECTORS)), (f.buffers, f.before, f.n_buffers)
        hyper, adam = shift(f.arena, load(f.places, HYPER)), 1 if is_adam(f.optimizer_constants) else 0
        call(load(f.code, JUDGE), (tile, f.bounds, n, threads, loss, *gradients, *buffers, hyper, adam))
    return meet(f.board, round_, threads)


def forward_address(tile: Tile) -> int:
    """Where the code of `forward` lies."""
    kinds = frame_type(tile), INT, types.boolean, types.uint64, INT, INT, INT, INT
    return address(forward, kinds, tile, result=INT)


def backward_address(tile: Tile) -> int:
    """Where the code of `backward` lies."""
    kinds = frame_type(tile), INT, REAL, types.boolean, INT, INT, INT
    return address(backward, kinds, tile, result=INT)
