"""The three matrix products of a dense layer, each one register tile on panels that never need packing.

With w = tile.columns, everything that training touches again and again lies in panels of width w:

    weights      W  (H, D)   [ceil(H/w)][D'][w]    lanes are outputs: W[h, d] at panel h // w, row d, lane h % w
    activations  X  (N, D)   [ceil(N/w)][D'][w]    lanes are samples, one row a feature
    gradients    dZ (N, H)   [ceil(N/w)][H'][w]    likewise, and once more with lanes that are outputs:
                             [ceil(H/w)][N'][w]    see `squares`

D', H', N' are rounded up, so that tiles may write whole blocks; what lies there is never read as a result. Every
stride inside a tile is then a constant of the generated code, and every load but the broadcasts is a whole vector:

    product         a block of                one term of the sum reads, of panels
    z  = W x + b    R outputs x w samples     R neighbours of a row, W[h..h+R-1, d],     a row, X[n..n+w-1, d]
    dx = Wᵀ dz      R inputs  x w samples     a lane of R rows, W[h, d..d+R-1],          a row, dZ[n..n+w-1, h]
    dW = x dzᵀ      R inputs  x w outputs     a lane of R rows, X[n, d..d+R-1],          a row, dZ[n, h..h+w-1]

The first product sums over the inputs d, the second over the outputs h, the third over the samples n; it reads the
transposed dZ. In the last two the lanes of the first factor go by, and at the end of a panel it hops to the next one.
The last is `weight_tiles.py`. The plain reference of the other two, which are here, is `register_tile.reference`.
"""

from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.panel_loops import accumulate_panels, place, places, start_of
from mlp_kernels.cpu.prefetch import pair_of, prefetch_of
from mlp_kernels.cpu.register_tile import Block, accumulate, of_rows
from mlp_kernels.cpu.vector_ir import Vectors, index


def relu_slope(v: Vectors, y: ir.Value, offset: int) -> ir.Value:
    """The derivative of a ReLU where its results y lie: 1 above 0, else 0."""
    one, zero = v.constant(1.0), v.constant(0.0)
    return v.builder.select(v.builder.fcmp_ordered(">", v.load(y, offset), zero), one, zero)


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def forward_tile(
    _context: Any,
    tile: Any,
    rows: Any,
    w: Any,
    x: Any,
    depth: Any,
    z: Any,
    bias: Any,
    first: Any,
    floor: Any,
    columns: Any,
    next_z: Any,
    next_w: Any,
) -> Any:
    """z[i, j] = b[i] + Σ_k w[k, i] x[k, j], `rows` rows of w columns, for `depth` >= 1 inputs.

    `rows` is what `blocks.next_rows` gives. Where `first` is 0 the sum goes on from what z holds. Results below `floor`
    become `floor`: 0 for ReLU, -inf for nothing; NaN stays. Columns beyond the first `columns` may be left as they are:
    the last panel of a batch can have few samples. `next_z` and `next_w` are what is prefetched meanwhile, see
    `prefetch.py`.
    """
    element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64
    pair = pair_of(element)
    signature = types.void(tile, ints, element, element, ints, element, element, ints, element.dtype, ints, pair, pair)
    width = tile.value.columns

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, rows, w, x, depth, z, bias, first, floor, columns, next_z, next_w = arguments

        def emit(height: int, v: Vectors, vectors: int) -> None:
            def stored(i: int, j: int) -> ir.Value:
                return v.load(z, place(v, i, j))

            start = start_of(v, (height, vectors), first, lambda i, _: v.broadcast(bias, i), stored)
            steps = {"a_rows": range(height), "a_depth": width, "b_depth": width}
            prefetches = prefetch_of(v, next_z, near=True) + prefetch_of(v, next_w, near=False)
            block = accumulate(v, w, x, depth, **steps, vectors=vectors, start=start, prefetches=prefetches)
            low = v.splat(floor)
            for i, j, value in places(block, vectors):
                below = builder.fcmp_ordered("<", value, low)
                v.store(builder.select(below, low, value), z, place(v, i, j))

        of_rows(builder, tile.value, rows, columns, emit)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def input_tile(
    _context: Any,
    tile: Any,
    rows: Any,
    w: Any,
    hop: Any,
    dz: Any,
    depth: Any,
    dx: Any,
    first: Any,
    x: Any,
    cut: Any,
    columns: Any,
    next_dx: Any,
    next_w: Any,
    next_dz: Any,
) -> Any:
    """dx[i, j] = Σ_k w[i, k] dz[k, j], `rows` rows of w columns, for `depth` >= 1 outputs.

    `rows` is what `blocks.next_rows` gives. w[i, k] lies at lane k % w of row i of panel k // w, the panels `hop`
    elements apart. Where `first` is 0 the sum goes on from what dx holds. Where `cut` is not 0, `x` are the results of
    a ReLU and dx goes on to its input. Columns beyond the first `columns`, which have no gradient, may be set to zero
    instead of being worked out. `next_dx`, `next_w` and `next_dz` are what is prefetched meanwhile, see `prefetch.py`;
    `next_w` hops from panel to panel as w does.
    """
    element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64
    pair = pair_of(element)
    operands = (ints, element, ints, element, ints, element, ints, element, ints, ints)
    signature = types.void(tile, *operands, pair, pair, pair)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, rows, w, hop, dz, depth, dx, first, x, cut, columns, next_dx, next_w, next_dz = arguments

        def emit(height: int, v: Vectors, vectors: int) -> None:
            zero = v.constant(0.0)

            def stored(i: int, j: int) -> ir.Value:
                return v.load(dx, place(v, i, j))

            def through_relu(sums: Block) -> Block:
                slopes = [relu_slope(v, x, place(v, i, j)) for i, j, _ in places(sums, vectors)]
                return [builder.fmul(value, slope) for value, slope in zip(sums, slopes, strict=True)]

            start = start_of(v, (height, vectors), first, lambda _i, _j: zero, stored)
            prefetches = prefetch_of(v, next_dx, near=True) + prefetch_of(v, next_dz, near=False)
            prefetches += prefetch_of(v, next_w, near=False, hop=hop)
            block = accumulate_panels(v, w, hop, dz, depth, start, vectors, prefetches=prefetches)
            block = v.when(builder.icmp_signed("!=", cut, index(0)), block, through_relu)
            for i, j, value in places(block, vectors):
                v.store(value, dx, place(v, i, j))
            for i in range(height):
                for j in range(vectors, tile.value.columns // v.lanes):
                    v.store(zero, dx, place(v, i, j))

        of_rows(builder, tile.value, rows, columns, emit)
        return context.get_dummy_value()

    return signature, generate
