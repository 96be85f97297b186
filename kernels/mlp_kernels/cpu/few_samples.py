"""A few samples through a network whose weights stay where their owner keeps them: nothing is packed.

A batch reads each weight hundreds of times, so it pays to bring weights into panels first. One sample reads it once,
and packing would be most of the work; `turning_tile` takes weights as they lie. A sample has the same logits to the
last bit whether it comes alone, with a few others or in a large batch.

Activations lie in panels of samples as in training, of which there is one, so the operations of a stage are the same
code as there.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.column_tiles import column_forward
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.frame import frame, stage
from mlp_kernels.cpu.memory import load, number, pointer_to, shift, store
from mlp_kernels.cpu.network import BIAS, CUT, FIRST_OP, INPUT, LAST_OP, N_IN, N_OUT, OUTPUT, PRODUCT, WEIGHTS
from mlp_kernels.cpu.operations import run_forward
from mlp_kernels.cpu.references import reference
from mlp_kernels.cpu.threads import meet, share
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.turning_tile import turning_tile, turning_tile_of_one
from mlp_kernels.cpu.weights import move_vectors


def most_samples(tile: Tile) -> int:
    """One panel of them; from more on packing pays."""
    return tile.columns


@kernel
def infer_few(
    tile: Tile,
    net: Any,
    memory: Any,
    flat: Any,
    vectors: Any,
    samples: Any,
    out: Any,
    thread: int,
    threads: int,
) -> None:
    """Logits of `samples` (N or more, D), at most `most_samples`, into rows of `out` (N, K), in inference mode.

    `flat` holds the parameters, and the WEIGHTS of a stage are a place in it. `vectors` are as for `weights.move`:
    biases and the like are so short that they are packed at each call.
    """
    # As in `training_loop.infer`, no literals: the operations would be compiled once more for those.
    training, seed, step = thread < 0, np.uint64(thread), thread
    no_data = net.places  # nobody looks at what stands for the data set
    f = reference(frame(net, memory, no_data, no_data, no_data))
    n, width, last = out.shape[0], tile.columns, f.n_stages - 1
    if thread == 0:
        move_vectors(flat, vectors, memory.packed, False)
        x, source, features = shift(f.arena, stage(f, 0, PRODUCT)), pointer_to(samples), samples.shape[1]
        for k in range(features):
            for j in range(n):
                store(x, k * width + j, load(source, j * features + k))
    round_ = meet(f.board, 1, threads)
    for s in range(f.n_stages):
        if s == 0 and stage(f, 0, FIRST_OP) == stage(f, 0, LAST_OP):
            continue
        features = stage(f, s, N_OUT)
        begin, end = share((features + tile.lanes - 1) // tile.lanes, thread, threads)
        begin, end = begin * tile.lanes, min(end * tile.lanes, features)
        if s > 0:
            _product(tile, f, s, shift(pointer_to(flat), stage(f, s, WEIGHTS)), begin, end, n)
        run_forward(tile, f, s, begin, end, n, training, seed, step, thread)
        round_ = meet(f.board, round_, threads)
    if thread == 0:
        z = shift(f.arena, stage(f, last, OUTPUT))
        for j in range(n):
            for k in range(out.shape[1]):
                out[j, k] = load(z, k * width + j)


@kernel
def _product(tile: Tile, f: Any, s: int, weights: Any, begin: int, end: int, n: int) -> None:
    """z = W x + b of stage `s`, outputs `begin` to `end`; `begin` is a multiple of the tile's lanes."""
    depth, width, group = stage(f, s, N_IN), tile.columns, min(tile.rows, tile.lanes)  # `turning_tile.at_once`
    x, z = shift(f.arena, stage(f, s, INPUT)), shift(f.arena, stage(f, s, PRODUCT))
    floor = number(f.arena, 0.0 if stage(f, s, CUT) else -np.inf)
    if stage(f, s, N_OUT) == 1:  # in a batch, too, its weights are one vector
        if end > begin:
            column_forward(tile, weights, x, depth, z, shift(f.packed, stage(f, s, BIAS)), floor, n)
        return
    # Rows that are a multiple of 2 KB apart crowd into a few sets of a cache, which has no room for twice as many.
    crowded = depth * tile.element_bytes % 2048 == 0
    step = 2 * tile.lanes if n == 1 and not crowded else tile.lanes
    for h in range(begin, end, step):
        w, bias, z_block = shift(weights, h * depth), shift(f.packed, stage(f, s, BIAS) + h), shift(z, h * width)
        if n == 1:
            turning_tile_of_one(tile, w, depth, min(step, end - h), x, depth, z_block, bias, floor)
        else:
            for j in range(0, n, group):
                turning_tile(tile, w, depth, end - h, shift(x, j), depth, shift(z_block, j), bias, floor)
