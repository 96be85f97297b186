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

The last two are the same tile: the lanes of A go by, and at the end of a panel A hops to the next one. The block
of dW is a block of W's own layout, so an optimiser takes it as it comes.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic

from mlp_kernels.cpu.register_tile import Block, accumulate
from mlp_kernels.cpu.vector_ir import Vectors, index

Start = Callable[[int, int], ir.Value]


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def forward_tile(
    _context: Any, tile: Any, w: Any, x: Any, depth: Any, z: Any, bias: Any, first: Any, floor: Any
) -> Any:
    """z[i, j] = b[i] + Σ_k w[k, i] x[k, j], R rows of w columns, for `depth` >= 1 inputs.

    Where `first` is 0 the sum goes on from what z holds. Results below `floor` become `floor`: 0 for ReLU, -inf for
    nothing; NaN stays.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))
    signature = types.void(tile, element, element, types.int64, element, element, types.int64, element.dtype)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, w, x, depth, z, bias, first, floor = arguments
        v = Vectors(builder, tile.value)
        start = _start(v, first, lambda i, _: v.broadcast(bias, i), lambda i, j: v.load(z, _place(v, i, j)))
        columns = v.tile.columns
        block = accumulate(
            v,
            w,
            x,
            depth,
            a_rows=range(v.tile.rows),
            a_depth=columns,
            b_depth=columns,
            vectors=v.tile.vectors,
            start=start,
        )
        low = v.splat(floor)
        for i, j, value in _places(v, block):
            below = builder.fcmp_ordered("<", value, low)
            v.store(builder.select(below, low, value), z, _place(v, i, j))
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def backward_tile(_context: Any, tile: Any, a: Any, hop: Any, b: Any, depth: Any, c: Any, first: Any) -> Any:
    """c[i, j] = Σ_k a[i, k] b[k, j], R rows of w columns, for `depth` >= 1 steps.

    a[i, k] lies at lane k % w of row i of panel k // w, the panels `hop` elements apart. Where `first` is 0 the sum
    goes on from what c holds.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))
    signature = types.void(tile, element, types.int64, element, types.int64, element, types.int64)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, a, hop, b, depth, c, first = arguments
        v = Vectors(builder, tile.value)
        start = _start(v, first, lambda _i, _j: v.constant(0.0), lambda i, j: v.load(c, _place(v, i, j)))
        for i, j, value in _places(v, _accumulate_panels(v, a, hop, b, depth, start)):
            v.store(value, c, _place(v, i, j))
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def local_block(_context: Any, tile: Any) -> Any:
    """Room for one tile on the stack, of which LLVM knows that nothing else points there."""
    element = types.CPointer(from_dtype(tile.value.dtype))

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> Any:
        value = context.get_value_type(element).pointee
        place = cgutils.alloca_once(builder, value, size=index(tile.value.rows * tile.value.columns))
        place.align = 64
        return place

    return element(tile), generate


def _accumulate_panels(v: Vectors, a: ir.Value, hop: ir.Value, b: ir.Value, depth: ir.Value, start: Block) -> Block:
    """The loop over the panels of A, the register tile's own loop over the lanes of each inside."""
    builder, width = v.builder, v.tile.columns
    before = builder.block
    loop, after = builder.append_basic_block("panel"), builder.append_basic_block("panels_done")
    builder.branch(loop)
    builder.position_at_end(loop)
    carried = []
    for value in [depth, a, b, *start]:
        phi = builder.phi(value.type)
        phi.add_incoming(value, before)
        carried.append(phi)
    remaining, a_here, b_here, *block = carried
    lanes = builder.select(builder.icmp_signed("<", remaining, index(width)), remaining, index(width))
    sums = accumulate(
        v,
        a_here,
        b_here,
        lanes,
        a_rows=range(0, v.tile.rows * width, width),
        a_depth=1,
        b_depth=width,
        vectors=v.tile.vectors,
        start=block,
    )
    left = builder.sub(remaining, index(width))
    following = [left, v.address(a_here, hop), v.address(b_here, width * width), *sums]
    for phi, value in zip(carried, following, strict=True):
        phi.add_incoming(value, builder.block)
    builder.cbranch(builder.icmp_signed(">", left, index(0)), loop, after)
    builder.position_at_end(after)
    return sums


def _start(v: Vectors, first: ir.Value, fresh: Start, stored: Start) -> Block:
    """The values that the sums begin at: fresh ones, or those that an earlier part of the sum has stored."""
    builder = v.builder
    with builder.if_else(builder.icmp_signed("!=", first, index(0))) as (begin, resume):
        with begin:
            new = [fresh(i, j) for i in range(v.tile.rows) for j in range(v.tile.vectors)]
            new_end = builder.block
        with resume:
            old = [stored(i, j) for i in range(v.tile.rows) for j in range(v.tile.vectors)]
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


def _places(v: Vectors, block: Block) -> list[tuple[int, int, ir.Value]]:
    return [(*divmod(place, v.tile.vectors), value) for place, value in enumerate(block)]


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def transpose_block(_context: Any, tile: Any, source: Any, destination: Any, sums: Any, first: Any) -> Any:
    """A square of `lanes` x `lanes` elements from one panel, transposed into another: out[j, i] = in[i, j].

    Rows are `tile.columns` apart in both. The sum of each row of `source` comes for free: it is written to `sums`
    where `first` is not 0, else added to it.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, source, destination, sums, first = arguments
        v = Vectors(builder, tile.value)
        columns = v.transpose([v.load(source, i * v.tile.columns) for i in range(v.lanes)])
        for j, column in enumerate(columns):
            v.store(column, destination, j * v.tile.columns)
        while len(columns) > 1:  # pairwise: short chains, and less rounding than one after the other
            columns = [builder.fadd(x, y) for x, y in zip(columns[0::2], columns[1::2], strict=True)]
        fresh = builder.icmp_signed("!=", first, index(0))
        v.store(builder.select(fresh, columns[0], builder.fadd(columns[0], v.load(sums))), sums)
        return context.get_dummy_value()

    return types.void(tile, element, element, element, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def gather_block(_context: Any, tile: Any, kind: Any, rows: Any, offset: Any, destination: Any) -> Any:
    """`lanes` neighbours of `lanes` samples, converted and transposed: out[k, j] = sample j's element k.

    `rows` points to the addresses of the samples' first elements, `offset` counts bytes from there, `kind` is the
    NumPy scalar type that lies in memory. Rows of the panel are `tile.columns` apart.
    """
    source = kind.dtype
    signature = types.void(
        tile, kind, types.CPointer(types.int64), types.int64, types.CPointer(from_dtype(tile.value.dtype))
    )

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, rows, offset, destination = arguments
        v = Vectors(builder, tile.value)
        memory = ir.VectorType(context.get_value_type(source), v.lanes)
        vectors = []
        for i in range(v.lanes):
            address = builder.add(builder.load(v.address(rows, i)), offset)
            values = builder.load(builder.inttoptr(address, memory.as_pointer()), align=1)
            vectors.append(_converted(v, values, source))
        for k, column in enumerate(v.transpose(vectors)):
            v.store(column, destination, k * v.tile.columns)
        return context.get_dummy_value()

    return signature, generate


def _converted(v: Vectors, values: ir.Value, source: Any) -> ir.Value:
    """Values of any number type in the type of the tile, rounded to nearest."""
    builder = v.builder
    if isinstance(source, types.Float):
        have, want = source.bitwidth, 8 * v.tile.dtype.itemsize
        if have == want:
            return values
        return builder.fptrunc(values, v.type) if have > want else builder.fpext(values, v.type)
    return builder.sitofp(values, v.type) if source.signed else builder.uitofp(values, v.type)
