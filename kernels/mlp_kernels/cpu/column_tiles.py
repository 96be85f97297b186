"""The way forward and back through a layer of one output, whose weights are one vector [D'] instead of a panel.

    z  = w · x + b      one row of samples; each step of the sum reads one weight and one row of x
    dx = w dz           R inputs at a time, an outer product

In a panel, one lane of each row would be a weight and 31 would be nothing, which optimisers would read and write, too.
The gradient of w is `weight_tiles.weights_column`; the plain reference of all three is `register_tile.reference`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.layer_tiles import relu_slope
from mlp_kernels.cpu.panel_loops import place, places, while_positive
from mlp_kernels.cpu.register_tile import Block, narrowest
from mlp_kernels.cpu.vector_ir import Vectors, index


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def column_forward(
    _context: Any, tile: Any, w: Any, x: Any, depth: Any, z: Any, bias: Any, floor: Any, columns: Any
) -> Any:
    """z[j] = b + Σ_k w[k] x[k, j] for `depth` >= 1 inputs; results below `floor` become `floor`.

    Columns beyond the first `columns` may be left as they are.
    """
    element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64
    signature = types.void(tile, element, element, ints, element, element, element.dtype, ints)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, w, x, depth, z, bias, floor, columns = arguments

        def emit(v: Vectors, vectors: int) -> None:
            start, low = [v.broadcast(bias)] * vectors, v.splat(floor)
            for j, value in enumerate(_sums(v, w, x, depth, start)):
                v.store(builder.select(builder.fcmp_ordered("<", value, low), low, value), z, j * v.lanes)

        narrowest(builder, tile.value, columns, emit)
        return context.get_dummy_value()

    return signature, generate


APART = 4
"""Sums in place of one: with so few vectors a multiply-add would wait for the one before, which takes four cycles."""


def _sums(v: Vectors, w: ir.Value, x: ir.Value, depth: ir.Value, start: Block) -> Block:
    """`start` + Σ_k w[k] x[k], where a row of x is as many vectors.

    `APART` sums of every `APART`-th row, added up at the end; rows that are left over go to the first of them.
    """
    builder, count, width = v.builder, len(start), v.tile.columns

    def steps(parts: int) -> Callable[[list[ir.Value]], list[ir.Value]]:
        def take(carried: list[ir.Value]) -> list[ir.Value]:
            left, w_here, x_here, *sums = carried
            for part in range(parts):
                weight = v.broadcast(w_here, part)
                for j in range(count):
                    row = v.load(x_here, part * width + j * v.lanes)
                    sums[part * count + j] = v.multiply_add(weight, row, sums[part * count + j])
            w_next, x_next = v.address(w_here, parts), v.address(x_here, parts * width)
            return [builder.sub(left, index(1)), w_next, x_next, *sums]

        return take

    carried = [depth, w, x, *start, *[v.constant(0.0)] * ((APART - 1) * count)]
    for parts, turns in ((APART, builder.sdiv(depth, index(APART))), (1, builder.srem(depth, index(APART)))):
        some = builder.icmp_signed(">", turns, index(0))
        carried = v.when(some, [turns, *carried[1:]], partial(while_positive, builder, body=steps(parts)))
    sums = carried[3:]
    while len(sums) > count:
        half = len(sums) // 2
        sums = [builder.fadd(one, other) for one, other in zip(sums[:half], sums[half:], strict=True)]
    return sums


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def column_input(_context: Any, tile: Any, w: Any, dz: Any, dx: Any, x: Any, cut: Any, columns: Any) -> Any:
    """dx[i, j] = w[i] dz[j], R rows of w columns.

    Where `cut` is not 0, `x` are the results of a ReLU and dx goes on to its input. Columns beyond the first
    `columns`, which have no gradient, may be set to zero instead of being worked out.
    """
    element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64
    signature = types.void(tile, element, element, element, element, ints, ints)
    rows = tile.value.rows

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, w, dz, dx, x, cut, columns = arguments

        def emit(v: Vectors, vectors: int) -> None:
            gradients = [v.load(dz, j * v.lanes) for j in range(vectors)]

            def through_relu(block: Block) -> Block:
                return [builder.fmul(value, relu_slope(v, x, place(v, i, j))) for i, j, value in places(block, vectors)]

            block = [builder.fmul(v.broadcast(w, i), gradient) for i in range(rows) for gradient in gradients]
            block = v.when(builder.icmp_signed("!=", cut, index(0)), block, through_relu)
            for i, j, value in places(block, vectors):
                v.store(value, dx, place(v, i, j))
            for i in range(rows):
                for j in range(vectors, v.tile.columns // v.lanes):
                    v.store(v.constant(0.0), dx, place(v, i, j))

        narrowest(builder, tile.value, columns, emit)
        return context.get_dummy_value()

    return signature, generate
