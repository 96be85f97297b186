"""What follows a product within a stage, on the features that a thread owns: forward, and back in reverse.

Each operation takes and leaves panels of samples, so a block of features of one panel is one run of memory.
"""

from typing import Any

from mlp_kernels.cpu import batch_norm, dropout, slopes
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, pointer_to, shift, store
from mlp_kernels.cpu.native import call
from mlp_kernels.cpu.network import (
    ACTIVATION,
    BACKWARD,
    BATCH_NORM,
    BUFFERS,
    CUT,
    DECAYS_ALL,
    DROPOUT,
    FIRST_OP,
    FORWARD,
    HYPER,
    KEPT,
    KIND,
    LAST_OP,
    LAYER,
    N_OUT,
    PARAMETERS,
    PRODUCT,
    RESULT,
    ROWS,
    SCRATCH,
    SCRATCH_STEP,
    SLOPE,
    SLOPES,
    SOURCE,
    UPDATE_VECTOR,
)
from mlp_kernels.cpu.tile import Tile


@kernel
def run_forward(
    tile: Tile,
    net: Any,
    memory: Any,
    s: int,
    begin: int,
    end: int,
    n: int,
    training: bool,
    seed: Any,
    step: int,
    thread: int,
) -> None:
    """The operations of stage `s` on its features from `begin` to `end`, for a batch of n samples."""
    width, rows = tile.columns, net.stages[s, ROWS]
    arena = pointer_to(memory.arena)
    count = end - begin
    if count <= 0:
        return
    for o in range(net.stages[s, FIRST_OP], net.stages[s, LAST_OP]):
        kind, a, b = net.ops[o, KIND], net.constants[o, 0], net.constants[o, 1]
        source = shift(arena, net.ops[o, SOURCE] + begin * width)
        result = shift(arena, net.ops[o, RESULT] + begin * width)
        kept = shift(arena, net.ops[o, KEPT])
        if kind == BATCH_NORM:
            _normalise(tile, net, memory, s, o, begin, end, n, training, thread)
            continue
        for panel in range((n + width - 1) // width):
            x, y = shift(source, panel * rows * width), shift(result, panel * rows * width)
            if kind == ACTIVATION:
                call(net.ops[o, FORWARD], (tile, x, y, count * width, a, b))
            elif kind == DROPOUT:
                if training and a > 0.0:
                    mask = shift(kept, (panel * rows + begin) * width)
                    dropout.draw_mask(mask, width, panel * width, begin, count, a, seed, net.ops[o, LAYER], step)
                    dropout.multiply(x, mask, y, count * width)
            else:
                weights = shift(pointer_to(memory.packed), net.ops[o, PARAMETERS])
                for f in range(count):
                    slope = load(weights, begin + f if kind == SLOPES else 0)
                    slopes.forward(shift(x, f * width), shift(y, f * width), width, slope)


@kernel
def _normalise(
    tile: Tile, net: Any, memory: Any, s: int, o: int, begin: int, end: int, n: int, training: bool, thread: int
) -> None:
    """Batch normalisation of features `begin` to `end`; the mean and 1/√(σ² + eps) used are kept, two rows of F."""
    width, step, features = tile.columns, net.stages[s, ROWS] * tile.columns, net.stages[s, N_OUT]
    arena = pointer_to(memory.arena)
    lanes = shift(arena, net.places[SCRATCH] + thread * net.places[SCRATCH_STEP])
    weights = shift(pointer_to(memory.packed), net.ops[o, PARAMETERS])
    running = shift(pointer_to(memory.buffers), net.ops[o, BUFFERS])
    kept = shift(arena, net.ops[o, KEPT])
    eps, momentum = net.constants[o, 0], net.constants[o, 1]
    for f in range(begin, end):
        x = shift(arena, net.ops[o, SOURCE] + f * width)
        if training:
            mean, variance = batch_norm.statistics(x, step, n, width, lanes)
            batch_norm.move(running, f, mean, momentum)
            batch_norm.move(running, features + f, variance * number(x, n / (n - 1.0)), momentum)
        else:
            mean, variance = load(running, f), load(running, features + f)
        inverse = batch_norm.inverse_deviation(variance, eps)
        store(kept, f, mean)
        store(kept, features + f, inverse)
        y = shift(arena, net.ops[o, RESULT] + f * width)
        bias = load(weights, _bias_place(features, tile) + f)
        batch_norm.forward(x, y, step, n, width, mean, inverse, load(weights, f), bias)


@kernel
def run_backward(
    tile: Tile, net: Any, memory: Any, s: int, dz: Any, begin: int, end: int, n: int, training: bool, thread: int
) -> None:
    """The operations of stage `s` in reverse: `dz`, its panels of gradients, becomes that of the product.

    The parameters of the operations are updated on the way, but for shared slopes, see `update_shared_slopes`.
    """
    width, rows = tile.columns, net.stages[s, ROWS]
    arena = pointer_to(memory.arena)
    lanes = shift(arena, net.places[SCRATCH] + thread * net.places[SCRATCH_STEP])
    count = end - begin
    if count <= 0:
        return
    for o in range(net.stages[s, LAST_OP] - 1, net.stages[s, FIRST_OP] - 1, -1):
        kind, a, b = net.ops[o, KIND], net.constants[o, 0], net.constants[o, 1]
        if kind == ACTIVATION:
            source = net.ops[o, SOURCE]
            _through_activation(tile, net, memory, s, net.ops[o, BACKWARD], source, dz, begin, count, n, a, b)
        elif kind == DROPOUT:
            if training and a > 0.0:
                for panel in range((n + width - 1) // width):
                    block = (panel * rows + begin) * width
                    d = shift(dz, block)
                    dropout.multiply(d, shift(arena, net.ops[o, KEPT] + block), d, count * width)
        elif kind == BATCH_NORM:
            _unnormalise(tile, net, memory, s, o, dz, begin, end, n, training, lanes)
        else:
            _through_slopes(tile, net, memory, s, o, dz, begin, end, n, lanes)
    if net.stages[s, CUT]:
        _through_activation(
            tile, net, memory, s, net.stages[s, CUT], net.stages[s, PRODUCT], dz, begin, count, n, 0.0, 0.0
        )


@kernel
def _through_activation(
    tile: Tile,
    net: Any,
    memory: Any,
    s: int,
    function: int,
    source: int,
    dz: Any,
    begin: int,
    count: int,
    n: int,
    a: float,
    b: float,
) -> None:
    width, rows = tile.columns, net.stages[s, ROWS]
    for panel in range((n + width - 1) // width):
        block = (panel * rows + begin) * width
        x = shift(pointer_to(memory.arena), source + block)
        call(function, (tile, x, shift(dz, block), count * width, a, b))


@kernel
def _through_slopes(
    tile: Tile, net: Any, memory: Any, s: int, o: int, dz: Any, begin: int, end: int, n: int, lanes: Any
) -> None:
    """A PReLU: the gradient of each feature's slope, which a shared slope leaves for later to be summed."""
    width, rows = tile.columns, net.stages[s, ROWS]
    own = net.ops[o, KIND] == SLOPES
    place = net.ops[o, PARAMETERS]
    weights = shift(pointer_to(memory.packed), place)
    gradients = shift(pointer_to(memory.gradients), place) if own else shift(pointer_to(memory.arena), net.ops[o, KEPT])
    for f in range(begin, end):
        for j in range(width):
            store(lanes, j, number(lanes, 0.0))
        slope = load(weights, f if own else 0)
        for panel in range((n + width - 1) // width):
            row = (panel * rows + f) * width
            x = shift(pointer_to(memory.arena), net.ops[o, SOURCE] + row)
            slopes.backward(x, shift(dz, row), width, slope, lanes)
        total = number(lanes, 0.0)
        for j in range(width):
            total += load(lanes, j)
        store(gradients, f, total)
    if own:
        update_vector(tile, net, memory, place + begin, end - begin)


@kernel
def _unnormalise(
    tile: Tile, net: Any, memory: Any, s: int, o: int, dz: Any, begin: int, end: int, n: int, training: bool, lanes: Any
) -> None:
    """Batch normalisation in reverse, features `begin` to `end`."""
    width, step, features = tile.columns, net.stages[s, ROWS] * tile.columns, net.stages[s, N_OUT]
    place = net.ops[o, PARAMETERS]
    bias_place = place + _bias_place(features, tile)
    weights, gradients = pointer_to(memory.packed), pointer_to(memory.gradients)
    kept = shift(pointer_to(memory.arena), net.ops[o, KEPT])
    for f in range(begin, end):
        x = shift(pointer_to(memory.arena), net.ops[o, SOURCE] + f * width)
        d_weight, d_bias = batch_norm.backward(
            x,
            shift(dz, f * width),
            step,
            n,
            width,
            load(kept, f),
            load(kept, features + f),
            load(weights, place + f),
            training,
            lanes,
        )
        store(gradients, place + f, d_weight)
        store(gradients, bias_place + f, d_bias)
    update_vector(tile, net, memory, place + begin, end - begin)
    update_vector(tile, net, memory, bias_place + begin, end - begin)


@kernel
def update_vector(tile: Tile, net: Any, memory: Any, place: int, count: int) -> None:
    """One optimiser step of `count` neighbouring parameters that are no weights, from their stored gradient."""
    p, g = shift(pointer_to(memory.packed), place), shift(pointer_to(memory.gradients), place)
    hyper = shift(pointer_to(memory.arena), net.places[HYPER])
    decayed = net.code[DECAYS_ALL]
    call(net.code[UPDATE_VECTOR], (tile, p, memory.packed.shape[1], g, count, hyper, decayed))


@kernel
def update_shared_slopes(tile: Tile, net: Any, memory: Any) -> None:
    """The slopes that all features share, from the gradients of the features, in their order. For one thread."""
    for s in range(net.stages.shape[0]):
        for o in range(net.stages[s, FIRST_OP], net.stages[s, LAST_OP]):
            if net.ops[o, KIND] == SLOPE:
                parts = shift(pointer_to(memory.arena), net.ops[o, KEPT])
                total = number(parts, 0.0)
                for f in range(net.stages[s, N_OUT]):
                    total += load(parts, f)
                store(pointer_to(memory.gradients), net.ops[o, PARAMETERS], total)
                update_vector(tile, net, memory, net.ops[o, PARAMETERS], 1)


@kernel
def _bias_place(features: int, tile: Tile) -> int:
    """Where the bias of a batch normalisation lies behind its weight: vectors begin at multiples of w."""
    return (features + tile.columns - 1) // tile.columns * tile.columns
