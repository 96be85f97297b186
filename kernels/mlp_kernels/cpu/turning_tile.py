"""The tile of a few samples: weights turned on their way to the multiply-adds, a square at a time, in registers.

    W (H, D), row by row               in registers                      sums, lane = output
    W[h,   k]  W[h,   k+1] ...         W[h, k]    W[h+1, k]   ...        z[h]  z[h+1] ...   += x[k] *
    W[h+1, k]  W[h+1, k+1] ...   -->   W[h, k+1]  W[h+1, k+1] ...                           += x[k+1] *
    ...                                ...

Each sum begins with the bias and takes the inputs in their order, as `layer_tiles.forward_tile` does, so it ends in
the same bits.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.panel_loops import while_positive
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index

Values: TypeAlias = list[ir.Value]


def at_once(tile: Tile) -> int:
    """Samples that share what has been turned."""
    return min(tile.rows, tile.lanes)


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
        samples, most, lanes = samples_of(tile.value), vectors_of(tile.value), tile.value.lanes

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, w, hop, outputs, x, depth, z, bias, floor = arguments
            v = Vectors(builder, tile.value)

            def emit(vectors: int) -> None:
                start = [v.load(bias, i * lanes) for i in range(vectors) for _ in range(samples)]
                sums = _add_up(v, _rows(v, w, hop, outputs, vectors), x, depth, samples, start)
                low = v.splat(floor)
                sums = [builder.select(builder.fcmp_ordered("<", value, low), low, value) for value in sums]
                for i in range(vectors):
                    _store(v, sums[i * samples : (i + 1) * samples], v.address(z, i * lanes * v.tile.columns))

            if most > 1:
                with builder.if_else(builder.icmp_signed(">", outputs, index(lanes))) as (wide, narrow):
                    with wide:
                        emit(most)
                    with narrow:
                        emit(1)
            else:
                emit(1)
            return context.get_dummy_value()

        return signature, generate

    return forward


turning_tile = _turning_tile(at_once, lambda tile: 1)
"""z[j, h] = b[h] + Σ_k W[h, k] x[j, k] for `lanes` outputs and `at_once` samples, `depth` >= 1 inputs.

`w` points to the first output's weights, those of the next are `hop` elements on; beyond the first `outputs`, at least
1, the last one is worked out again. `x` and `z` are columns of panels: sample j of feature k at k · w + j. `bias` has
as many elements as there are lanes. Results below `floor` become `floor`: 0 for ReLU, -inf for nothing; NaN stays."""

turning_tile_of_one = _turning_tile(lambda tile: 1, lambda tile: 2)
"""The same for a single sample, and for two vectors of outputs where `outputs` are more than one has lanes: an addition
need not wait for the one before if there is another sum to go on with."""


def _rows(v: Vectors, w: ir.Value, hop: ir.Value, outputs: ir.Value, vectors: int) -> Values:
    """Pointers to the weights of each output; no memory is read beyond the last."""
    last = v.builder.sub(outputs, index(1))
    within = [v.builder.icmp_signed("<", index(i), outputs) for i in range(vectors * v.lanes)]
    nearest = [v.builder.select(inside, index(i), last) for i, inside in enumerate(within)]
    return [v.address(w, v.builder.mul(i, hop)) for i in nearest]


def _add_up(v: Vectors, rows: Values, x: ir.Value, depth: ir.Value, samples: int, sums: Values) -> Values:
    """`sums`, the samples of the first vector of outputs, then those of the next, plus all products."""
    builder, lanes, width = v.builder, v.lanes, v.tile.columns
    groups = [rows[i : i + lanes] for i in range(0, len(rows), lanes)]

    def one_input(weights: Values, x_here: ir.Value, offset: int, sums: Values) -> Values:
        factors = [v.broadcast(x_here, offset + j) for j in range(samples)]
        pairs = [(weight, factor) for weight in weights for factor in factors]
        return [v.multiply_add(*pair, total) for pair, total in zip(pairs, sums, strict=True)]

    def square(carried: Values) -> Values:
        left, k, x_here, *sums = carried
        turned = [v.load_transposed(group, k) for group in groups]
        for i, weights in enumerate(zip(*turned, strict=True)):
            sums = one_input(list(weights), x_here, i * width, sums)
        here = builder.add(k, index(lanes)), v.address(x_here, lanes * width)
        return [builder.sub(left, index(lanes)), *here, *sums]

    def single(carried: Values) -> Values:
        left, k, x_here, *sums = carried
        weights = [v.collect([v.address(row, k) for row in group]) for group in groups]
        here = builder.add(k, index(1)), v.address(x_here, width)
        return [builder.sub(left, index(1)), *here, *one_input(weights, x_here, 0, sums)]

    def loop(left: ir.Value, k: ir.Value, body: Callable[[Values], Values], sums: Values) -> Values:
        start = [left, k, v.address(x, builder.mul(k, index(width)))]
        some = builder.icmp_signed(">", left, index(0))
        return v.when(some, sums, lambda old: while_positive(builder, [*start, *old], body)[len(start) :])

    whole = builder.mul(builder.sdiv(depth, index(lanes)), index(lanes))
    sums = loop(whole, index(0), square, sums)
    return loop(builder.sub(depth, whole), whole, single, sums)


def _store(v: Vectors, sums: Values, z: ir.Value) -> None:
    """The sums of some samples, a vector each, into as many columns of a panel."""
    samples = len(sums)
    short, turned = Vectors(v.builder, v.tile, samples), v.transpose(sums)
    for i in range(v.lanes):
        values = v.part(turned[i * samples // v.lanes], i * samples % v.lanes, samples)
        short.store(values, z, i * v.tile.columns)
