"""Squares of `lanes` x `lanes` elements transposed in registers: a batch on its way in, a gradient on its way to dW.

    in                          out
    row 0:  a0 a1 a2 ...        row 0:  a0 b0 c0 ...       log2(lanes) rounds of shuffles, no element by itself
    row 1:  b0 b1 b2 ...   -->  row 1:  a1 b1 c1 ...
    row 2:  c0 c1 c2 ...        row 2:  a2 b2 c2 ...

The reference of all is `x.T`; of the sums that come with one of them, `x.sum(axis=1)`.
"""

from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.extending import intrinsic

from mlp_kernels.cpu.vector_ir import Vectors, index


def _transpose_of(whole: bool) -> Any:
    """The transposition of a square that is full of samples, or of one that may not be."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def transpose(
        _context: Any, tile: Any, source: Any, destination: Any, sums: Any, first: Any, rows: Any, samples: Any
    ) -> Any:
        element = types.CPointer(from_dtype(tile.value.dtype))

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, source, destination, sums, first, rows, samples = arguments
            square = Vectors(builder, tile.value)
            valid = None if whole else square.first_lanes(samples)

            def emit(count: int) -> None:
                columns = [square.load_part(source, i * tile.value.columns, valid) for i in range(count)]
                # Of half a square, each vector that comes out holds two columns.
                firsts = range(0, square.lanes, count)
                v = Vectors(builder, tile.value, count)
                pieces = [square.part(vector, first, count) for vector in square.transpose(columns) for first in firsts]
                for j, piece in enumerate(pieces):
                    v.store(piece, destination, j * tile.value.columns)
                while len(pieces) > 1:  # pairwise: short chains, and less rounding than one after the other
                    pieces = [builder.fadd(x, y) for x, y in zip(pieces[0::2], pieces[1::2], strict=True)]
                fresh = builder.icmp_signed("!=", first, index(0))
                v.store(builder.select(fresh, pieces[0], builder.fadd(pieces[0], v.load(sums))), sums)

            lanes = tile.value.lanes
            with builder.if_else(builder.icmp_signed(">", rows, index(lanes // 2))) as (all_rows, half):
                with all_rows:
                    emit(lanes)
                with half:
                    emit(tile.value.half_lanes)
            return context.get_dummy_value()

        return types.void(tile, element, element, element, *[types.int64] * 3), generate

    return transpose


transpose_block = _transpose_of(whole=True)
"""A square of `lanes` x `lanes` elements from one panel, transposed into another: out[j, i] = in[i, j].

Rows are `tile.columns` apart in both. The sum of each row of the source comes for free: it is written to `sums`
where `first` is not 0, else added to it. Where `rows` is no more than half of the lanes, only that half is done.
There are `samples` elements in each row, at least `lanes`."""

transpose_part = _transpose_of(whole=False)
"""The same of rows with fewer than `lanes` elements: beyond them lies anything, and 0 is what comes out.

Two kinds, since most squares are full, and masks take a few percent of the step of a small network."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def transpose_column(_context: Any, tile: Any, source: Any, destination: Any, sums: Any, first: Any) -> Any:
    """One column of such a square, transposed: out[i] = in[i, 0], and its elements go to `sums` in the same way.

    For a few samples: the others of a square would be transposed in vain.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, source, destination, sums, first = arguments
        v = Vectors(builder, tile.value)
        column = v.collect([v.address(source, i * v.tile.columns) for i in range(v.lanes)])
        v.store(column, destination)
        fresh = builder.icmp_signed("!=", first, index(0))
        v.store(builder.select(fresh, column, builder.fadd(column, v.load(sums))), sums)
        return context.get_dummy_value()

    return types.void(tile, element, element, element, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def turn_block(_context: Any, tile: Any, source: Any, step: Any, destination: Any, to_step: Any) -> Any:
    """A square of `lanes` x `lanes` elements, transposed: out[j, i] = in[i, j], rows `step` and `to_step` apart."""
    element, ints = types.CPointer(from_dtype(tile.value.dtype)), types.int64

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, source, step, destination, to_step = arguments
        v = Vectors(builder, tile.value)
        rows = [v.address(source, builder.mul(index(i), step)) for i in range(v.lanes)]
        for j, column in enumerate(v.load_transposed(rows, index(0))):
            v.store(column, destination, builder.mul(index(j), to_step))
        return context.get_dummy_value()

    return types.void(tile, element, ints, element, ints), generate


AHEAD = 256
"""Bytes ahead of which a sample's next numbers are prefetched: the hardware prefetcher does not follow sixteen rows."""


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def prefetch(_context: Any, tile: Any, address: Any) -> Any:
    """Have the cache line of an integer address fetched, and wait for nothing."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        Vectors(builder, tile.value).prefetch(builder.inttoptr(arguments[1], ir.IntType(8).as_pointer()))
        return context.get_dummy_value()

    return types.void(tile, types.int64), generate


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
        addresses = [builder.add(builder.load(v.address(rows, i)), offset) for i in range(v.lanes)]
        for address in addresses:
            v.prefetch(builder.inttoptr(builder.add(address, index(AHEAD)), ir.IntType(8).as_pointer()))
        if memory == v.type:
            columns = v.load_transposed([v.pointer(address) for address in addresses], index(0))
        else:
            values = [builder.load(builder.inttoptr(each, memory.as_pointer()), align=1) for each in addresses]
            columns = v.transpose([_converted(v, each, source) for each in values])
        for k, column in enumerate(columns):
            v.store(column, destination, k * v.tile.columns)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def gather_row(_context: Any, tile: Any, kind: Any, rows: Any, offset: Any, destination: Any) -> Any:
    """One element each of `lanes` samples, converted: out[j] = sample j's, `offset` bytes from the address in `rows`.

    For fewer features than make a square. Stored one by one, the elements would have to leave the core's queue before
    a tile could read them as vectors. `kind` is as for `gather_block`, or a pointer to what lies in memory.
    """
    source = kind.dtype
    signature = types.void(
        tile, kind, types.CPointer(types.int64), types.int64, types.CPointer(from_dtype(tile.value.dtype))
    )

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        _, _, rows, offset, destination = arguments
        v, memory = Vectors(builder, tile.value), context.get_value_type(source).as_pointer()
        addresses = [builder.add(builder.load(v.address(rows, i)), offset) for i in range(v.lanes)]
        values = v.collect([builder.inttoptr(address, memory) for address in addresses])
        v.store(_converted(v, values, source), destination)
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
