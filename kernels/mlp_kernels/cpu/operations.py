"""What follows a product within a stage, on the features that a thread owns: forward, and back in reverse.

Each operation takes and leaves panels of samples, so a block of features of one panel is one run of memory.
"""

from typing import Any

from mlp_kernels.cpu import batch_norm, dropout, slopes
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.frame import op, stage
from mlp_kernels.cpu.memory import load, number, shift, store
from mlp_kernels.cpu.native import call
from mlp_kernels.cpu.network import (
    ACTIVATION,
    BACKWARD,
    BATCH_NORM,
    BUFFERS,
    BY_BATCH,
    CUT,
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
    VECTORS,
)
from mlp_kernels.cpu.tile import Tile


@kernel
def run_forward(
    tile: Tile,
    f: Any,
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
    width, rows = tile.columns, stage(f, s, ROWS)
    count = end - begin
    if count <= 0:
        return
    for o in range(stage(f, s, FIRST_OP), stage(f, s, LAST_OP)):
        kind, a, b = op(f, o, KIND), load(f.constants, 2 * o), load(f.constants, 2 * o + 1)
        source = shift(f.arena, op(f, o, SOURCE) + begin * width)
        result = shift(f.arena, op(f, o, RESULT) + begin * width)
        kept = shift(f.arena, op(f, o, KEPT))
        if kind == BATCH_NORM:
            _normalise(tile, f, s, o, begin, end, n, training, thread)
            continue
        for panel in range((n + width - 1) // width):
            x, y = shift(source, panel * rows * width), shift(result, panel * rows * width)
            if kind == ACTIVATION:
                call(op(f, o, FORWARD), (tile, x, y, count * width, a, b))
            elif kind == DROPOUT:
                if training and a > 0.0:
                    mask = shift(kept, (panel * rows + begin) * width)
                    dropout.draw_mask(tile, mask, panel * width, begin, count, a, seed, op(f, o, LAYER), step)
                    dropout.multiply(x, mask, y, count * width)
            else:
                weights = shift(f.packed, op(f, o, PARAMETERS))
                for h in range(count):
                    slope = load(weights, begin + h if kind == SLOPES else 0)
                    slopes.forward(shift(x, h * width), shift(y, h * width), width, slope)


@kernel
def _normalise(tile: Tile, f: Any, s: int, o: int, begin: int, end: int, n: int, training: bool, thread: int) -> None:
    """Batch normalisation of features `begin` to `end`; the mean and 1/√(σ² + eps) used are kept, two rows of F."""
    width, step, features = tile.columns, stage(f, s, ROWS) * tile.columns, stage(f, s, N_OUT)
    lanes = shift(f.arena, load(f.places, SCRATCH) + thread * load(f.places, SCRATCH_STEP))
    weights = shift(f.packed, op(f, o, PARAMETERS))
    running = shift(f.buffers, op(f, o, BUFFERS))
    kept = shift(f.arena, op(f, o, KEPT))
    eps, momentum = load(f.constants, 2 * o), load(f.constants, 2 * o + 1)
    by_batch = training and op(f, o, BY_BATCH) != 0
    for h in range(begin, end):
        x = shift(f.arena, op(f, o, SOURCE) + h * width)
        if by_batch:
            mean, variance = batch_norm.statistics(x, step, n, width, lanes)
            batch_norm.move(running, h, mean, momentum)
            batch_norm.move(running, features + h, variance * number(x, n / (n - 1.0)), momentum)
        else:
            mean, variance = load(running, h), load(running, features + h)
        inverse = batch_norm.inverse_deviation(variance, eps)
        store(kept, h, mean)
        store(kept, features + h, inverse)
        y = shift(f.arena, op(f, o, RESULT) + h * width)
        bias = load(weights, _bias_place(features, tile) + h)
        batch_norm.forward(x, y, step, n, width, mean, inverse, load(weights, h), bias)


@kernel
def run_backward(
    tile: Tile, f: Any, s: int, dz: Any, begin: int, end: int, n: int, training: bool, thread: int
) -> None:
    """The operations of stage `s` in reverse: `dz`, its panels of gradients, becomes that of the product.

    Leaves the gradients of the operations' parameters, but of shared slopes only the parts, see `update_vectors`.
    """
    width, rows = tile.columns, stage(f, s, ROWS)
    lanes = shift(f.arena, load(f.places, SCRATCH) + thread * load(f.places, SCRATCH_STEP))
    count = end - begin
    if count <= 0:
        return
    for o in range(stage(f, s, LAST_OP) - 1, stage(f, s, FIRST_OP) - 1, -1):
        kind, a, b = op(f, o, KIND), load(f.constants, 2 * o), load(f.constants, 2 * o + 1)
        if kind == ACTIVATION:
            source = op(f, o, SOURCE)
            _through_activation(tile, f, s, op(f, o, BACKWARD), source, dz, begin, count, n, a, b)
        elif kind == DROPOUT:
            if training and a > 0.0:
                for panel in range((n + width - 1) // width):
                    block = (panel * rows + begin) * width
                    d = shift(dz, block)
                    dropout.multiply(d, shift(f.arena, op(f, o, KEPT) + block), d, count * width)
        elif kind == BATCH_NORM:
            _unnormalise(tile, f, s, o, dz, begin, end, n, training, lanes)
        else:
            _through_slopes(tile, f, s, o, dz, begin, end, n, lanes)
    if stage(f, s, CUT):
        _through_activation(tile, f, s, stage(f, s, CUT), stage(f, s, PRODUCT), dz, begin, count, n, 0.0, 0.0)


@kernel
def _through_activation(
    tile: Tile,
    f: Any,
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
    width, rows = tile.columns, stage(f, s, ROWS)
    for panel in range((n + width - 1) // width):
        block = (panel * rows + begin) * width
        x = shift(f.arena, source + block)
        call(function, (tile, x, shift(dz, block), count * width, a, b))


@kernel
def _through_slopes(tile: Tile, f: Any, s: int, o: int, dz: Any, begin: int, end: int, n: int, lanes: Any) -> None:
    """A PReLU: the gradient of each feature's slope, which a shared slope leaves for later to be summed."""
    width, rows = tile.columns, stage(f, s, ROWS)
    own = op(f, o, KIND) == SLOPES
    place = op(f, o, PARAMETERS)
    weights = shift(f.packed, place)
    gradients = shift(f.gradients, place) if own else shift(f.arena, op(f, o, KEPT))
    for h in range(begin, end):
        batch_norm.clear_lanes(lanes, width)
        slope = load(weights, h if own else 0)
        for panel in range((n + width - 1) // width):
            row = (panel * rows + h) * width
            x = shift(f.arena, op(f, o, SOURCE) + row)
            slopes.backward(x, shift(dz, row), min(width, n - panel * width), slope, lanes)
        store(gradients, h, batch_norm.total_of_lanes(lanes, width))


@kernel
def _unnormalise(
    tile: Tile, f: Any, s: int, o: int, dz: Any, begin: int, end: int, n: int, training: bool, lanes: Any
) -> None:
    """Batch normalisation in reverse, features `begin` to `end`."""
    width, step, features = tile.columns, stage(f, s, ROWS) * tile.columns, stage(f, s, N_OUT)
    place = op(f, o, PARAMETERS)
    bias_place = place + _bias_place(features, tile)
    kept = shift(f.arena, op(f, o, KEPT))
    by_batch = training and op(f, o, BY_BATCH) != 0
    for h in range(begin, end):
        x = shift(f.arena, op(f, o, SOURCE) + h * width)
        d_weight, d_bias = batch_norm.backward(
            x,
            shift(dz, h * width),
            step,
            n,
            width,
            load(kept, h),
            load(kept, features + h),
            load(f.packed, place + h),
            by_batch,
            lanes,
        )
        store(f.gradients, place + h, d_weight)
        store(f.gradients, bias_place + h, d_bias)


@kernel
def update_vectors(tile: Tile, f: Any) -> None:
    """One optimiser step of all learning parameters that are no weights, from their gradients. For one thread."""
    add_up_shared_slopes(f)
    count, hyper = load(f.places, VECTORS), shift(f.arena, load(f.places, HYPER))
    call(load(f.code, UPDATE_VECTOR), (tile, f.packed, f.slot_step, f.gradients, count, hyper))


@kernel
def add_up_shared_slopes(f: Any) -> None:
    """The gradients of slopes that all features of a layer share, from those of the features, in their order."""
    for s in range(f.n_stages):
        for o in range(stage(f, s, FIRST_OP), stage(f, s, LAST_OP)):
            if op(f, o, KIND) == SLOPE:
                parts = shift(f.arena, op(f, o, KEPT))
                total = number(parts, 0.0)
                for h in range(stage(f, s, N_OUT)):
                    total += load(parts, h)
                store(f.gradients, op(f, o, PARAMETERS), total)


@kernel
def _bias_place(features: int, tile: Tile) -> int:
    """Where the bias of a batch normalisation lies behind its weight: vectors begin at multiples of the lanes."""
    return (features + tile.lanes - 1) // tile.lanes * tile.lanes
