"""A few samples through a network whose weights stay where their owner keeps them: nothing is packed.

A batch reads each weight hundreds of times, so it pays to bring weights into panels first. One sample reads it once,
and packing would be most of the work. Here the weights are turned on the way to the multiply-adds, a square of
`lanes` x `lanes` at a time, in registers:

    W (H, D), row by row               in registers                      sums, lane = output
    W[h,   k]  W[h,   k+1] ...         W[h, k]    W[h+1, k]   ...        z[h]  z[h+1] ...   += x[k] *
    W[h+1, k]  W[h+1, k+1] ...   -->   W[h, k+1]  W[h+1, k+1] ...                           += x[k+1] *
    ...                                ...

Each sum begins with the bias and takes the inputs in their order, as `layer_tiles.forward_tile` does. So a sample has
the same logits to the last bit whether it comes alone, with a few others or in a large batch.

Activations lie in panels of samples as in training, of which there is one, so the operations of a stage are the same
code as there.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.gather import GATHER
from mlp_kernels.cpu.memory import load, number, pointer_to, shift
from mlp_kernels.cpu.native import call
from mlp_kernels.cpu.network import (
    BIAS,
    CUT,
    FIRST_OP,
    INPUT,
    LAST_OP,
    N_IN,
    N_OUT,
    OUTPUT,
    PRODUCT,
    ROWS,
    WEIGHTS,
    frame,
    stage,
)
from mlp_kernels.cpu.operations import run_forward
from mlp_kernels.cpu.panel_loops import while_positive
from mlp_kernels.cpu.threads import meet, share
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index
from mlp_kernels.cpu.weights import pack


def at_once(tile: Tile) -> int:
    """Samples that share what has been turned in registers."""
    return min(tile.rows, tile.lanes)


def most_samples(tile: Tile) -> int:
    """From more samples on packing pays."""
    return min(2 * at_once(tile), tile.columns)


def _turning_tile(samples_of: Callable[[Tile], int], vectors_of: Callable[[Tile], int]) -> Any:
    """The tile of z for as many samples and vectors of outputs as these say of the register tile."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def forward(
        _context: Any,
        tile: Any,
        w: Any,
        hop: Any,
        outputs: Any,
        x: Any,
        depth: Any,
        z: Any,
        bias: Any,
        floor: Any,
    ) -> Any:
        element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64
        signature = types.void(tile, element, ints, ints, element, ints, element, element, element.dtype)
        samples, most = samples_of(tile.value), vectors_of(tile.value)
        lanes, width = tile.value.lanes, tile.value.columns

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, w, hop, outputs, x, depth, z, bias, floor = arguments
            v = Vectors(builder, tile.value)

            def add(sums: list[ir.Value], weights: list[ir.Value], factors: list[ir.Value]) -> list[ir.Value]:
                pairs = [(column, factor) for column in weights for factor in factors]
                return [v.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

            def factors(x_here: ir.Value, k: int) -> list[ir.Value]:
                return [v.broadcast(x_here, k * width + j) for j in range(samples)]

            def emit(groups: int) -> None:
                last = builder.sub(outputs, index(1))
                numbers = [builder.select(builder.icmp_signed("<", index(i), last), index(i), last) for i in range(groups * lanes)]
                rows = [v.address(w, builder.mul(i, hop)) for i in numbers]  # none is read beyond the last
                grouped = [rows[i : i + lanes] for i in range(0, len(rows), lanes)]

                def square(carried: list[ir.Value]) -> list[ir.Value]:
                    left, k, x_here, *sums = carried
                    columns = [v.load_transposed(rows, k) for rows in grouped]
                    for i, weights in enumerate(zip(*columns, strict=True)):
                        sums = add(sums, list(weights), factors(x_here, i))
                    left = builder.sub(left, index(lanes))
                    return [left, builder.add(k, index(lanes)), v.address(x_here, lanes * width), *sums]

                def single(carried: list[ir.Value]) -> list[ir.Value]:
                    left, k, x_here, *sums = carried
                    weights = [v.collect([v.address(row, k) for row in rows]) for rows in grouped]
                    sums = add(sums, weights, factors(x_here, 0))
                    return [builder.sub(left, index(1)), builder.add(k, index(1)), v.address(x_here, width), *sums]

                def loop(start: list[ir.Value], body: Any, sums: list[ir.Value]) -> list[ir.Value]:
                    some = builder.icmp_signed(">", start[0], index(0))
                    return v.when(some, sums, lambda old: while_positive(builder, [*start, *old], body)[3:])

                sums = [v.load(bias, g * lanes) for g in range(groups) for _ in range(samples)]
                sums = loop([builder.sub(depth, index(lanes - 1)), index(0), x], square, sums)
                done = builder.mul(builder.sdiv(depth, index(lanes)), index(lanes))
                x_left = v.address(x, builder.mul(done, index(width)))
                sums = loop([builder.sub(depth, done), done, x_left], single, sums)
                low = v.splat(floor)
                sums = [builder.select(builder.fcmp_ordered("<", value, low), low, value) for value in sums]
                narrow = Vectors(builder, tile.value, samples)
                for g in range(groups):
                    turned = v.transpose(sums[g * samples : (g + 1) * samples])
                    for i in range(lanes):
                        values = v.part(turned[i * samples // lanes], i * samples % lanes, samples)
                        narrow.store(values, z, (g * lanes + i) * width)

            if most == 1:
                emit(1)
                return context.get_dummy_value()
            with builder.if_else(builder.icmp_signed(">", outputs, index(lanes))) as (wide, narrow):
                with wide:
                    emit(most)
                with narrow:
                    emit(1)
            return context.get_dummy_value()

        return signature, generate

    return forward


turning_tile = _turning_tile(at_once, lambda tile: 1)
"""z[j, h] = b[h] + Σ_k W[h, k] x[j, k] for `lanes` outputs and `at_once` samples, `depth` >= 1 inputs.

`w` points to the first output's weights, those of the next are `hop` elements on; beyond the first `outputs`, at least
1, the last one is worked out again. `x` and `z` are columns of panels: sample j of feature k at k · w + j. `bias` has
`lanes` elements. Results below `floor` become `floor`: 0 for ReLU, -inf for nothing; NaN stays."""

turning_tile_of_one = _turning_tile(lambda tile: 1, lambda tile: tile.vectors)
"""The same for a single sample."""


@kernel
def infer_few(
    tile: Tile,
    net: Any,
    memory: Any,
    flat: Any,
    vectors: Any,
    matrices: Any,
    data: Any,
    order: Any,
    out: Any,
    thread: int,
    threads: int,
) -> None:
    """Logits of the samples `order`, at most `most_samples`, into rows of `out` (N, K), in inference mode.

    `flat` holds the parameters, and the WEIGHTS of a stage are a place in it. `vectors` and `matrices`, of which there
    are none, are for `weights.pack`: biases and the like are so short that they are packed at each call.
    """
    # Variables, for with numbers in the call Numba would compile the operations once more, for these alone.
    training, seed, step = thread < 0, np.uint64(thread), thread
    f = frame(net, memory, data, data, data)
    n, width, last = out.shape[0], tile.columns, f.n_stages - 1
    sources = np.empty(width, np.int64)
    if thread == 0:
        pack(tile, flat, vectors, matrices, memory.packed)
        x, order_ = shift(f.arena, stage(f, 0, PRODUCT)), pointer_to(order)
        features, rows = stage(f, 0, N_OUT), stage(f, 0, ROWS)
        call(load(f.data, GATHER), (tile, f.data, 0, features, order_, n, rows, 0, x, pointer_to(sources)))
    round_ = meet(f.meeting, 1, threads)
    for s in range(f.n_stages):
        if s == 0 and stage(f, 0, FIRST_OP) == stage(f, 0, LAST_OP):
            continue
        features = stage(f, s, N_OUT)
        begin, end = share((features + tile.lanes - 1) // tile.lanes, thread, threads)
        begin, end = begin * tile.lanes, min(end * tile.lanes, features)
        if s > 0:
            _product(tile, f, s, shift(pointer_to(flat), stage(f, s, WEIGHTS)), begin, end, n)
        run_forward(tile, f, s, begin, end, n, training, seed, step, thread)
        round_ = meet(f.meeting, round_, threads)
    if thread == 0:
        z = shift(f.arena, stage(f, last, OUTPUT))
        for j in range(n):
            for k in range(out.shape[1]):
                out[j, k] = load(z, k * width + j)


@kernel
def _product(tile: Tile, f: Any, s: int, weights: Any, begin: int, end: int, n: int) -> None:
    """z = W x + b of stage `s`, outputs `begin` to `end`; `begin` is a multiple of the tile's lanes."""
    depth, width, group = stage(f, s, N_IN), tile.columns, min(tile.rows, tile.lanes)
    x, z = shift(f.arena, stage(f, s, INPUT)), shift(f.arena, stage(f, s, PRODUCT))
    floor = number(f.arena, 0.0 if stage(f, s, CUT) else -np.inf)
    step = tile.columns if n == 1 else tile.lanes
    for h in range(begin, end, step):
        w, bias, z_block = shift(weights, h * depth), shift(f.packed, stage(f, s, BIAS) + h), shift(z, h * width)
        if n == 1:
            turning_tile_of_one(tile, w, depth, end - h, x, depth, z_block, bias, floor)
        else:
            for j in range(0, n, group):
                turning_tile(tile, w, depth, end - h, shift(x, j), depth, shift(z_block, j), bias, floor)
