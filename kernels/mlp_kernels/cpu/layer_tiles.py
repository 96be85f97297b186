"""The three matrix products of a dense layer, each one register tile on panels that never need packing.

With w = tile.columns, everything that training touches again and again lies in panels of width w:

    weights      W  (H, D)   [ceil(H/w)][D'][w]    lanes are outputs: W[h, d] at panel h // w, row d, lane h % w
    activations  X  (N, D)   [ceil(N/w)][D'][w]    lanes are samples, one row a feature
    gradients    dZ (N, H)   [ceil(N/w)][H'][w]    likewise, and once more with lanes that are outputs:
                             [ceil(H/w)][N'][w]    see `transpose`

D', H', N' are rounded up, so that tiles may write whole blocks; what lies there is never read as a result. Every
step inside a tile is then a constant of the generated code, and every load but the broadcasts is a whole vector:

    product                  a block of         one step of the sum reads
    z  = W x + b             R outputs x w samples    R neighbours of one row of W,      one row of X
    dx = Wᵀ dz               R inputs  x w samples    one lane of R rows of W,           one row of dZ
    dW = x dzᵀ               R inputs  x w outputs    one lane of R rows of X,           one row of dZ, transposed

In the last two the lanes of A go by, and at the end of a panel A hops to the next one. The block of dW is a block
of W's own layout, so the optimiser takes it as it comes, in registers: no gradient of a weight matrix is ever stored.
The plain reference of all three is `register_tile.reference`; of what the optimiser does, `rules.Rule.apply`.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.lanes import Lanes
from mlp_kernels.cpu.register_tile import Block, accumulate
from mlp_kernels.cpu.rules import Hyper, Rule
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index

Start = Callable[[int, int], ir.Value]

PREFETCH_FROM = 2
"""A batch of more than so many panels gives a block of weights time to come from a farther cache while the
multiply-adds run; in less time, asking for it costs more than it saves."""


def _forward_tile(rows_of: Callable[[Tile], int]) -> Any:
    """The tile of z with as many rows as `rows_of` says of the register tile."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def forward(_context: Any, tile: Any, w: Any, x: Any, depth: Any, z: Any, bias: Any, first: Any, floor: Any) -> Any:
        element = types.CPointer(from_dtype(tile.value.dtype))
        signature = types.void(tile, element, element, types.int64, element, element, types.int64, element.dtype)
        rows, columns = rows_of(tile.value), tile.value.columns

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, w, x, depth, z, bias, first, floor = arguments
            v = Vectors(builder, tile.value)
            start = _start(v, rows, first, lambda i, _: v.broadcast(bias, i), lambda i, j: v.load(z, _place(v, i, j)))
            block = accumulate(
                v,
                w,
                x,
                depth,
                a_rows=range(rows),
                a_depth=columns,
                b_depth=columns,
                vectors=v.tile.vectors,
                start=start,
            )
            low = v.splat(floor)
            for i, j, value in _places(block, v.tile.vectors):
                below = builder.fcmp_ordered("<", value, low)
                v.store(builder.select(below, low, value), z, _place(v, i, j))
            return context.get_dummy_value()

        return signature, generate

    return forward


forward_tile = _forward_tile(lambda tile: tile.rows)
"""z[i, j] = b[i] + Σ_k w[k, i] x[k, j], R rows of w columns, for `depth` >= 1 inputs.

Where `first` is 0 the sum goes on from what z holds. Results below `floor` become `floor`: 0 for ReLU, -inf for
nothing; NaN stays."""

small_forward_tile = _forward_tile(lambda tile: tile.few_rows)
"""The same for `tile.few_rows` rows."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def input_tile(
    _context: Any, tile: Any, w: Any, hop: Any, dz: Any, depth: Any, dx: Any, first: Any, x: Any, cut: Any
) -> Any:
    """dx[i, j] = Σ_k w[i, k] dz[k, j], R rows of w columns, for `depth` >= 1 outputs.

    w[i, k] lies at lane k % w of row i of panel k // w, the panels `hop` elements apart. Where `first` is 0 the sum
    goes on from what dx holds. Where `cut` is not 0, `x` are the results of a ReLU and dx goes on to its input.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))
    ints = types.int64
    signature = types.void(tile, element, ints, element, ints, element, ints, element, ints)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, w, hop, dz, depth, dx, first, x, cut = arguments
        v = Vectors(builder, tile.value)
        vectors, zero, one = v.tile.vectors, v.constant(0.0), v.constant(1.0)
        start = _start(v, v.tile.rows, first, lambda _i, _j: zero, lambda i, j: v.load(dx, _place(v, i, j)))
        block = _accumulate_panels(v, w, hop, dz, depth, start, vectors)

        def through_relu(sums: Block) -> Block:
            slopes = []
            for i, j, _ in _places(sums, vectors):
                above = builder.fcmp_ordered(">", v.load(x, _place(v, i, j)), zero)
                slopes.append(builder.select(above, one, zero))
            return [builder.fmul(value, slope) for value, slope in zip(sums, slopes, strict=True)]

        block = v.when(builder.icmp_signed("!=", cut, index(0)), block, through_relu)
        for i, j, value in _places(block, vectors):
            v.store(value, dx, _place(v, i, j))
        return context.get_dummy_value()

    return signature, generate


def _weights_tile(rows_of: Callable[[Tile], int]) -> Any:
    """The tile of dW with as many rows as `rows_of` says of the register tile."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def gradient(
        _context: Any,
        tile: Any,
        rule: Any,
        x: Any,
        hop: Any,
        dz: Any,
        depth: Any,
        weights: Any,
        slot_step: Any,
        hyper: Any,
        columns: Any,
    ) -> Any:
        element = types.CPointer(from_dtype(tile.value.dtype))
        ints = types.int64
        signature = types.void(tile, rule, element, ints, element, ints, element, ints, element, ints)
        rows = rows_of(tile.value)

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, _, x, hop, dz, depth, weights, slot_step, hyper, columns = arguments
            lanes = tile.value.lanes

            def emit(v: Vectors, vectors: int) -> None:
                places = [_place(v, i, j) for i in range(rows) for j in range(vectors)]
                with builder.if_then(builder.icmp_signed(">", depth, index(PREFETCH_FROM * v.tile.columns))):
                    for place in places:
                        v.prefetch_for_write(weights, place)
                block = _accumulate_panels(v, x, hop, dz, depth, [v.constant(0.0)] * len(places), vectors)
                h = _hyper(v, hyper)
                for value, place in zip(block, places, strict=True):
                    _update(v, rule.value, h, value, v.address(weights, place), slot_step)

            with builder.if_else(builder.icmp_signed(">", columns, index(lanes))) as (wide, narrow):
                with wide:
                    emit(Vectors(builder, tile.value), tile.value.vectors)
                with narrow, builder.if_else(builder.icmp_signed(">", columns, index(lanes // 2))) as (one, half):
                    with one:
                        emit(Vectors(builder, tile.value), 1)
                    with half:
                        emit(Vectors(builder, tile.value, lanes // 2), 1)
            return context.get_dummy_value()

        return signature, generate

    return gradient


weights_tile = _weights_tile(lambda tile: tile.rows)
"""dW[i, j] = Σ_k x[i, k] dz[k, j], R rows of w columns, for `depth` >= 1 samples; `rule` takes it at once.

x[i, k] lies as w[i, k] does for `input_tile`. `weights` is the block of W that this is the gradient of; what the
rule remembers of it lies `slot_step` elements behind, slot after slot. At least `columns` outputs of each row are
worked out: where one vector or half of one is enough, no more."""

small_weights_tile = _weights_tile(lambda tile: tile.few_rows)
"""The same for `tile.few_rows` rows: a network of two inputs has no more."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def weights_column(
    _context: Any,
    tile: Any,
    rule: Any,
    x: Any,
    hop: Any,
    dz: Any,
    dz_hop: Any,
    panels: Any,
    weights: Any,
    slot_step: Any,
    hyper: Any,
) -> Any:
    """dW[i] = Σ_k x[i, k] dz[k] of a layer with one output: R rows, a product of vectors each, over `panels` >= 1.

    Here dz lies as the loss left it, lanes that are samples, its panels `dz_hop` elements apart. A tile of dW would
    multiply by the zeros of all the outputs that the layer does not have.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))
    ints = types.int64
    signature = types.void(tile, rule, element, ints, element, ints, ints, element, ints, element)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, x, hop, dz, dz_hop, panels, weights, slot_step, hyper = arguments
        v = Vectors(builder, tile.value)
        rows, vectors = v.tile.rows, v.tile.vectors

        def one_panel(carried: list[ir.Value]) -> list[ir.Value]:
            left, x_here, dz_here, *sums = carried
            d = [v.load(dz_here, j * v.lanes) for j in range(vectors)]
            sums = [
                v.multiply_add(v.load(x_here, _place(v, i, j)), d[j], sums[i * vectors + j])
                for i in range(rows)
                for j in range(vectors)
            ]
            return [builder.sub(left, index(1)), v.address(x_here, hop), v.address(dz_here, dz_hop), *sums]

        start = [panels, x, dz, *[v.constant(0.0)] * (rows * vectors)]
        _, _, _, *sums = _while_positive(builder, start, one_panel)
        h = _hyper(v, hyper)
        for i in range(rows):
            gradient = v.first_lane(v.total(sums[i * vectors : (i + 1) * vectors]))
            _update(v, rule.value, h, gradient, v.address(weights, _place(v, i, 0)), slot_step)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def update_lanes(_context: Any, tile: Any, rule: Any, p: Any, slot_step: Any, gradient: Any, hyper: Any) -> Any:
    """`rule` for one vector of parameters, whose gradient lies in memory."""
    element = types.CPointer(from_dtype(tile.value.dtype))
    signature = types.void(tile, rule, element, types.int64, element, element)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, p, slot_step, gradient, hyper = arguments
        v = Vectors(builder, tile.value)
        _update(v, rule.value, _hyper(v, hyper), v.load(gradient), p, slot_step)
        return context.get_dummy_value()

    return signature, generate


def _hyper(v: Vectors, row: ir.Value) -> Hyper:
    return Hyper(*(Lanes(v, v.broadcast(row, i)) for i in range(len(Hyper._fields))))


def _update(v: Vectors, rule: Rule, h: Hyper, gradient: ir.Value, p: ir.Value, slot_step: ir.Value) -> None:
    """One vector of parameters at `p` and of its slots, from memory and back."""
    places = [v.address(p, v.builder.mul(slot_step, index(slot))) for slot in range(rule.slots + 1)]
    before, *slots = (Lanes(v, v.load(place)) for place in places)
    after, slots = rule.apply(h, before, Lanes(v, gradient), slots)
    for value, place in zip([after, *slots], places, strict=True):
        v.store(value.value, place)


def _accumulate_panels(
    v: Vectors, a: ir.Value, hop: ir.Value, b: ir.Value, depth: ir.Value, start: Block, vectors: int
) -> Block:
    """The loop over the panels of A, the register tile's own loop over the lanes of each inside."""
    builder, width = v.builder, v.tile.columns

    def one_panel(carried: list[ir.Value]) -> list[ir.Value]:
        left, a_here, b_here, *block = carried
        lanes = builder.select(builder.icmp_signed("<", left, index(width)), left, index(width))
        sums = accumulate(
            v,
            a_here,
            b_here,
            lanes,
            a_rows=range(0, len(block) // vectors * width, width),
            a_depth=1,
            b_depth=width,
            vectors=vectors,
            start=block,
        )
        return [builder.sub(left, index(width)), v.address(a_here, hop), v.address(b_here, width * width), *sums]

    _, _, _, *sums = _while_positive(builder, [depth, a, b, *start], one_panel)
    return sums


def _while_positive(
    builder: ir.IRBuilder, start: list[ir.Value], body: Callable[[list[ir.Value]], list[ir.Value]]
) -> list[ir.Value]:
    """A loop that hands its values on from turn to turn, until the first of them is no longer positive."""
    before = builder.block
    loop, after = builder.append_basic_block("panel"), builder.append_basic_block("panels_done")
    builder.branch(loop)
    builder.position_at_end(loop)
    carried = []
    for value in start:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        carried.append(phi)
    following = body(carried)
    for phi, value in zip(carried, following, strict=True):
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_signed(">", following[0], index(0)), loop, after)
    builder.position_at_end(after)
    return following


def _start(v: Vectors, rows: int, first: ir.Value, fresh: Start, stored: Start) -> Block:
    """The values that the sums begin at: fresh ones, or those that an earlier part of the sum has stored."""
    builder = v.builder
    with builder.if_else(builder.icmp_signed("!=", first, index(0))) as (begin, resume):
        with begin:
            new = [fresh(i, j) for i in range(rows) for j in range(v.tile.vectors)]
            new_end = builder.block
        with resume:
            old = [stored(i, j) for i in range(rows) for j in range(v.tile.vectors)]
            old_end = builder.block
    start = []
    for one, other in zip(new, old, strict=True):
        value = builder.phi(v.type)
        value.add_incoming(one, new_end)
        value.add_incoming(other, old_end)
        start.append(value)
    return start


def _place(v: Vectors, i: int, j: int) -> int:
    return i * v.tile.columns + j * v.lanes


def _places(block: Block, vectors: int) -> list[tuple[int, int, ir.Value]]:
    return [(*divmod(place, vectors), value) for place, value in enumerate(block)]
