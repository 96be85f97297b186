"""A dense layer on panels: forward for the outputs, backward for the inputs that a thread owns.

Each product goes block by block, see `blocks.py`, and while its tiles multiply they prefetch the next block, see
`prefetch.py`.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.blocks import DEPTH, even_block, next_rows
from mlp_kernels.cpu.column_tiles import column_forward, column_input
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.frame import in_line, stage, weights_of
from mlp_kernels.cpu.layer_tiles import forward_tile, input_tile
from mlp_kernels.cpu.memory import load, number, shift, store
from mlp_kernels.cpu.native import call
from mlp_kernels.cpu.network import (
    BIAS,
    CUT,
    FIRST_OP,
    HYPER,
    INPUT,
    INPUT_ROWS,
    LAST_OP,
    LEARNS,
    LEARNS_BIAS,
    N_IN,
    N_OUT,
    N_SLOTS,
    PACE,
    PANELS,
    PRODUCT,
    REST,
    ROWS,
    SCRATCH,
    SCRATCH_STEP,
    STAGE_COLUMNS,
    UNUSED,
    UPDATE_COLUMN,
    UPDATE_IN_PLACE,
    UPDATE_WEIGHTS,
    WEIGHT_ROWS,
    WEIGHTS,
)
from mlp_kernels.cpu.prefetch import block_prefetch, part_prefetch, shared_pace
from mlp_kernels.cpu.small_batch import (
    INPUTS_A_SAMPLE,
    MOST_BACKWARD,
    MOST_FORWARD,
    OUTPUTS_A_SAMPLE,
    forward_panels,
    input_rows,
)
from mlp_kernels.cpu.squares import transpose_block, transpose_column, transpose_part
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.totals import row_total


@kernel
def product(tile: Tile, f: Any, s: int, begin: int, end: int, n: int) -> None:
    """z = W x + b of stage `s`, outputs `begin` to `end`; `begin` is a multiple of the tile's rows.

    For few samples it is a multiple of the tile's columns.
    """
    width = tile.columns
    depth, rows, in_rows, w_rows = (
        stage(f, s, N_IN),
        stage(f, s, ROWS),
        stage(f, s, INPUT_ROWS),
        stage(f, s, WEIGHT_ROWS),
    )
    x, z = shift(f.arena, stage(f, s, INPUT)), shift(f.arena, stage(f, s, PRODUCT))
    bias, panel = shift(f.packed, stage(f, s, BIAS)), weights_of(f, s, begin // width, width)
    least = number(f.arena, -np.inf)
    floor = number(f.arena, 0.0) if stage(f, s, CUT) else least
    if stage(f, s, N_OUT) == 1:
        for b in range((n + width - 1) // width if end > begin else 0):
            x_block, z_block = shift(x, b * in_rows * width), shift(z, b * rows * width)
            column_forward(tile, panel, x_block, depth, z_block, bias, floor, n - b * width)
        return
    if few_forward(f, s, n):
        whole, h = in_line(f, s, width), begin
        while h < end:
            stop = min(end, whole) if h < whole else end
            w, to, start = weights_of(f, s, h // width, width), shift(z, h * width), shift(bias, h)
            forward_panels(tile, w, w_rows * width, x, depth, to, start, floor, stop - h, n)
            h = stop
        return
    block, pace = even_block(depth, DEPTH, 1), load(f.places, PACE)
    for k in range(0, depth, block):
        steps = min(block, depth - k)
        first = 1 if k == 0 else 0
        lowest = floor if k + steps == depth else least
        h = begin
        while h < end:
            stop = min(end, (h // width + 1) * width)
            w = shift(weights_of(f, s, h // width, width), k * width)
            # What comes then: the next panel, or the next block of the first; behind the last is nothing of use.
            then = shift(w, w_rows * width) if stop < end else shift(panel, (k + block) * width)
            x_block = shift(x, k * width)
            _forward_panel(tile, w, then, pace, x_block, in_rows, steps, z, rows, bias, h, stop, first, lowest, n)
            h = stop


@kernel
def _forward_panel(
    tile: Tile,
    w: Any,
    then: Any,
    pace: int,
    x: Any,
    in_rows: int,
    steps: int,
    z: Any,
    rows: int,
    bias: Any,
    begin: int,
    end: int,
    first: int,
    floor: Any,
    n: int,
) -> None:
    """`steps` terms of the sums of outputs `begin` to `end`, which lie in one panel, for all samples.

    Meanwhile the tiles prefetch as many of the panel `then`, each its part.
    """
    width = tile.columns
    panels, part = (n + width - 1) // width, 0
    for b in range(panels):
        x_block, samples = shift(x, b * in_rows * width), n - b * width
        z_after = shift(z, ((b + 1 if b + 1 < panels else 0) * rows + begin) * width)
        i = begin
        while i < end:
            height = next_rows(tile, end - i, samples)
            w_block, z_block, bias_block = shift(w, i % width), shift(z, (b * rows + i) * width), shift(bias, i)
            i += height
            next_z = block_prefetch(tile, shift(z_block, height * width) if i < end else z_after)
            next_w = part_prefetch(tile, then, part, steps, pace)
            part += 1
            forward_tile(
                tile, height, w_block, x_block, steps, z_block, bias_block, first, floor, samples, next_z, next_w
            )


@kernel
def few_forward(f: Any, s: int, n: int) -> bool:
    """Whether stage `s` takes the way of `small_batch`: storing its results one by one has to pay."""
    return n <= MOST_FORWARD and stage(f, s, N_IN) >= INPUTS_A_SAMPLE * n and stage(f, s, N_OUT) > 1


@kernel
def few_backward(f: Any, s: int, n: int) -> bool:
    """Whether the gradient of stage `s` goes back the way of `small_batch`: adding up the lanes of sums has to pay."""
    return n <= MOST_BACKWARD and stage(f, s, N_OUT) >= OUTPUTS_A_SAMPLE * n


@kernel
def ends_in_relu(f: Any, s: int) -> bool:
    """Whether the product of stage `s` and its own ReLU are all that the stage does."""
    return stage(f, s, CUT) != 0 and stage(f, s, FIRST_OP) == stage(f, s, LAST_OP)


@kernel
def input_gradient(tile: Tile, f: Any, s: int, dz: Any, transposed: Any, dx: Any, begin: int, end: int, n: int) -> None:
    """dx = Wᵀ dz of stage `s`, inputs `begin` to `end`; `begin` is a multiple of the tile's rows.

    Where all that stage `s` - 1 does after its product is the product's own ReLU, dx goes on to before that.
    """
    width = tile.columns
    depth, rows, in_rows, w_rows = (
        stage(f, s, N_OUT),
        stage(f, s, ROWS),
        stage(f, s, INPUT_ROWS),
        stage(f, s, WEIGHT_ROWS),
    )
    weights = weights_of(f, s, 0, width)
    hop = w_rows * width
    x, behind_relu = shift(f.arena, stage(f, s, INPUT)), 1 if ends_in_relu(f, s - 1) else 0
    if depth == 1:
        for b in range((n + width - 1) // width):
            d, samples = shift(dz, b * rows * width), n - b * width
            for i in range(begin, end, tile.rows):
                place = (b * in_rows + i) * width
                column_input(tile, shift(weights, i), d, shift(dx, place), shift(x, place), behind_relu, samples)
        return
    if few_backward(f, s, n):
        dz_hop, whole = load(f.places, PANELS) * width * width, in_line(f, s, width)
        for i in range(begin, end, tile.rows):
            place = i * width
            dx_rows, x_rows = shift(dx, place), shift(x, place)
            w, rest, after = shift(weights, place), shift(f.packed, stage(f, s, REST) + place), depth - whole
            input_rows(tile, w, hop, rest, after, transposed, dz_hop, depth, dx_rows, x_rows, behind_relu, n)
        return
    whole, panels, pace = in_line(f, s, width), (n + width - 1) // width, load(f.places, PACE)
    block = even_block(whole, DEPTH, width)
    dz_pace = shared_pace(tile)
    k = 0
    while k < depth:
        steps = min(block, whole - k) if k < whole else depth - k
        w = shift(weights, k // width * hop) if k < whole else weights_of(f, s, k // width, width)
        w_then = shift(w, block // width * hop if k + block < depth else 0)
        first = 1 if k == 0 else 0
        cut = behind_relu if k + steps == depth else 0
        for b in range(panels):
            d, samples = shift(dz, (b * rows + k) * width), n - b * width
            d_then = shift(d, rows * width) if b + 1 < panels else shift(dz, (k + block) * width)
            dx_after = shift(dx, ((b + 1 if b + 1 < panels else 0) * in_rows + begin) * width)
            i, part = begin, 0
            while i < end:
                height, place = next_rows(tile, end - i, samples), (b * in_rows + i) * width
                w_block, dx_block, x_block = shift(w, i * width), shift(dx, place), shift(x, place)
                next_w = shift(w_then, i * width + b * width * pace), pace
                i += height
                next_dx = block_prefetch(tile, shift(dx_block, height * width) if i < end else dx_after)
                next_dz = part_prefetch(tile, d_then, part, steps, dz_pace)
                part += 1
                what = w_block, hop, d, steps, dx_block, first, x_block, cut, samples
                input_tile(tile, height, *what, next_dx, next_w, next_dz)
        k += steps


@kernel
def update_weights(
    tile: Tile,
    f: Any,
    s: int,
    dz: Any,
    transposed: Any,
    panel: int,
    last: int,
    begin: int,
    end: int,
    n: int,
    thread: int,
) -> None:
    """dW = x dzᵀ of stage `s` and the optimiser's step: inputs `begin` to `end`, panels from `panel` to `last`."""
    width = tile.columns
    x, hyper = shift(f.arena, stage(f, s, INPUT)), shift(f.arena, load(f.places, HYPER))
    hop, dz_step = stage(f, s, INPUT_ROWS) * width, load(f.places, PANELS) * width * width
    weights, w_rows, outputs = shift(f.packed, stage(f, s, WEIGHTS)), stage(f, s, WEIGHT_ROWS), stage(f, s, N_OUT)
    if outputs == 1:
        arguments = (tile, x, hop, dz, stage(f, s, ROWS) * width, begin, end, n, weights, f.slot_step, hyper)
        call(load(f.code, UPDATE_COLUMN), arguments)
        return
    factors, part = (x, hop, transposed, dz_step), (panel, last, begin, end, n)
    if f.in_place:
        room = shift(f.arena, load(f.places, SCRATCH) + thread * load(f.places, SCRATCH_STEP))
        row, vectors = shift(f.stages, s * STAGE_COLUMNS), (f.packed, f.slot_step, hyper)
        copy = room, load(f.places, N_SLOTS), load(f.code, UPDATE_WEIGHTS)
        call(load(f.code, UPDATE_IN_PLACE), (tile, row, *factors, *part, *vectors, *copy))
        return
    parameters = weights, w_rows, shift(weights, f.slot_step), f.slot_step, hyper
    call(load(f.code, UPDATE_WEIGHTS), (tile, *factors, outputs, *part, *parameters))


@kernel
def finish_gradient(tile: Tile, f: Any, s: int, dz: Any, transposed: Any, begin: int, end: int, n: int) -> None:
    """Transpose dz of stage `s` for dW, outputs `begin` to `end`; its sum over the batch is the gradient of the biases.

    `begin` is a multiple of the tile's lanes. Lanes beyond the last sample may hold anything.
    Of a frozen stage only `small_batch` reads the transposed gradient, on the way to dx.
    """
    if end <= begin:  # another thread's dz may not be there yet
        return
    if not (stage(f, s, LEARNS) or few_backward(f, s, n)):
        return
    width, lanes = tile.columns, tile.lanes
    rows, panels = stage(f, s, ROWS), load(f.places, PANELS)
    learned = stage(f, s, LEARNS_BIAS)
    gradients = shift(f.gradients, stage(f, s, BIAS)) if learned else shift(f.arena, load(f.places, UNUSED))
    if stage(f, s, N_OUT) == 1:  # `updates.column_update_of` needs no transposition
        total = number(dz, 0.0)
        for b in range((n + width - 1) // width):
            total += row_total(tile, shift(dz, b * rows * width), n - b * width)
        store(gradients, 0, total)
    elif n <= MOST_FORWARD:
        for h in range(begin, end, lanes):
            to = shift(transposed, h // width * panels * width * width + h % width)
            for j in range(n):
                first = 1 if j == 0 else 0
                transpose_column(tile, shift(dz, h * width + j), shift(to, j * width), shift(gradients, h), first)
    else:
        whole = n // lanes * lanes
        for h in range(begin, end, lanes):
            to = shift(transposed, h // width * panels * width * width + h % width)
            for j in range(0, whole, lanes):
                block, first = shift(dz, (j // width * rows + h) * width + j % width), 1 if j == 0 else 0
                transpose_block(tile, block, shift(to, j * width), shift(gradients, h), first, end - h, lanes)
            if whole < n:
                block, first = shift(dz, (whole // width * rows + h) * width + whole % width), 1 if whole == 0 else 0
                transpose_part(tile, block, shift(to, whole * width), shift(gradients, h), first, end - h, n - whole)
