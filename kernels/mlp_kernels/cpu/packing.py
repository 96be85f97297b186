"""Panels: the order in which the register tile reads its operands, made by copying blocks of them.

A tile reads R elements of A and one row of B a step. In a matrix those lie far apart, a cache line and often
a memory page each; packed, they lie one after the other. Both operands have the same form: a matrix of K
steps by W places is cut into panels of `width` places, each stored step by step.

    matrix, K x W                          memory
    | panel 0 | panel 1 | panel 2 ..|      panel 0: k=0 | k=1 | ... | k=K-1 | panel 1: k=0 | ...
      width     width     the rest           each step `width` elements, the last panel's padded

For B the places are its columns, for A its rows; any other layout is a pair of strides, so a transposed
operand costs no copy of its own. Strides are in bytes and may be negative or zero. The padding holds copies
of the last place: never a denormal that the data doesn't have, for those are slow on some CPUs. The plain
reference is `packed.pack`.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index

# Rows of the matrix read side by side. Rows a power of two apart fall into the same few places of the L1
# cache, which keeps 8 lines or more for each: with more streams they push each other out half read.
_STREAMS = 8


@kernel
def pack_rows(
    tile: Tile, source: int, row_bytes: int, step_bytes: int, rows: int, depth: int, destination: int
) -> None:
    """A block of A, `rows` x `depth`, as panels of `tile.rows` rows, `tile.panel_rows` elements a step.

    The destination needs room for all panels and `tile.lanes` steps more.
    """
    size = tile.element_bytes
    step = tile.panel_rows * size
    if step_bytes == size:
        for i in range(0, rows, tile.rows):
            panel = destination + i // tile.rows * depth * step
            for k in range(0, depth, tile.lanes):
                _transpose_rows(
                    tile, source + i * row_bytes + k * size, row_bytes, depth - k, rows - i, panel + k * step
                )
    elif row_bytes == size:
        for first in range(0, depth, _STREAMS):
            for i in range(0, rows, tile.rows):
                panel = destination + i // tile.rows * depth * step
                for k in range(first, min(depth, first + _STREAMS)):
                    _copy_rows(tile, source + i * size + k * step_bytes, rows - i, panel + k * step)
    else:
        for i in range(0, rows, tile.rows):
            panel = destination + i // tile.rows * depth * step
            _gather(
                tile,
                source + i * row_bytes,
                row_bytes,
                step_bytes,
                min(tile.rows, rows - i),
                tile.panel_rows,
                depth,
                panel,
            )


@kernel
def pack_columns(
    tile: Tile, source: int, step_bytes: int, column_bytes: int, depth: int, columns: int, destination: int
) -> None:
    """A block of B, `depth` x `columns`, as panels of `tile.columns` columns.

    The destination needs room for all panels and `tile.lanes` steps more.
    """
    size = tile.element_bytes
    step = tile.columns * size
    if column_bytes == size:
        for first in range(0, depth, _STREAMS):
            for j in range(0, columns, tile.columns):
                panel = destination + j * depth * size
                for k in range(first, min(depth, first + _STREAMS)):
                    _copy_columns(tile, source + j * size + k * step_bytes, columns - j, panel + k * step)
    elif step_bytes == size:
        for j in range(0, columns, tile.columns):
            panel = destination + j * depth * size
            for k in range(0, depth, tile.lanes):
                _transpose_columns(
                    tile, source + j * column_bytes + k * size, column_bytes, depth - k, columns - j, panel + k * step
                )
    else:
        for j in range(0, columns, tile.columns):
            panel = destination + j * depth * size
            valid = min(tile.columns, columns - j)
            _gather(tile, source + j * column_bytes, column_bytes, step_bytes, valid, tile.columns, depth, panel)


@kernel
def _gather(
    tile: Tile, source: int, place_bytes: int, step_bytes: int, valid: int, width: int, depth: int, destination: int
) -> None:
    """One panel element by element, for matrices that are contiguous in neither direction."""
    for k in range(depth):
        for place in range(width):
            _copy_element(tile, source + k * step_bytes + min(place, valid - 1) * place_bytes, destination)
            destination += tile.element_bytes


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _copy_element(_context: Any, tile: Any, source: Any, destination: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        v = Vectors(builder, tile.value)
        value = builder.load(v.pointer(arguments[1]), align=1)
        builder.store(value, v.pointer(arguments[2]), align=1)
        return context.get_dummy_value()

    return types.void(tile, types.int64, types.int64), generate


def _emit_copy(v: Vectors, source: ir.Value, valid: ir.Value, destination: ir.Value, width: int) -> None:
    """One step of a panel whose places are neighbours in memory."""
    builder = v.builder
    whole = builder.icmp_signed(">=", valid, index(width))
    source, destination = v.pointer(source), v.pointer(destination)
    with builder.if_else(whole) as (copy, pad):
        with copy:
            for place in range(0, width, v.lanes):
                v.store(v.load(source, place), destination, place)
        with pad:
            last = v.broadcast(source, builder.sub(valid, index(1)))
            for place in range(0, width, v.lanes):
                mask = v.first_lanes(builder.sub(valid, index(place)))
                v.store(builder.select(mask, v.masked_load(source, place, mask), last), destination, place)


def _emit_transpose(
    v: Vectors, source: ir.Value, place_bytes: ir.Value, steps: ir.Value, valid: ir.Value, to: ir.Value, width: int
) -> None:
    """`lanes` steps of a panel whose steps are neighbours in memory; beyond `steps` nothing is read.

    It writes `lanes` steps in any case: what is too much is overwritten by the next panel.
    """
    builder = v.builder
    destination = v.pointer(to)
    group = min(width, v.lanes, _STREAMS)
    last = builder.sub(valid, index(1))
    mask = v.first_lanes(steps)
    whole = builder.icmp_signed(">=", steps, index(v.lanes))
    for first in range(0, width, group):
        rows = []
        for place in range(first, first + group):
            nearest = builder.select(builder.icmp_signed("<", index(place), valid), index(place), last)
            rows.append(v.pointer(builder.add(source, builder.mul(nearest, place_bytes))))
        with builder.if_else(whole) as (plain, ragged):
            with plain:
                loaded = [v.load(row) for row in rows]
                plain_end = builder.block
            with ragged:
                masked = [v.masked_load(row, 0, mask) for row in rows]
                ragged_end = builder.block
        values = []
        for one, other in zip(loaded, masked, strict=True):
            value = builder.phi(v.type)
            value.add_incoming(one, plain_end)
            value.add_incoming(other, ragged_end)
            values.append(value)
        # The columns of the group now follow each other, several to a vector where the group is narrow.
        for number, vector in enumerate(v.transpose(values)):
            place = first + number * (v.lanes // group) * width
            if group == width:
                v.store(vector, destination, place)
                continue
            for part in range(v.lanes // group):
                v.store_part(vector, part * group, group, destination, place + part * width)


def _copying(rows: bool) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def copy(_context: Any, tile: Any, source: Any, valid: Any, destination: Any) -> Any:
        width = tile.value.panel_rows if rows else tile.value.columns

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            v = Vectors(builder, tile.value, lanes=min(width, tile.value.lanes))
            _, source, valid, destination = arguments
            _emit_copy(v, source, valid, destination, width)
            return context.get_dummy_value()

        return types.void(tile, types.int64, types.int64, types.int64), generate

    return copy


def _transposing(rows: bool) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def transpose(
        _context: Any, tile: Any, source: Any, place_bytes: Any, steps: Any, valid: Any, destination: Any
    ) -> Any:
        width = tile.value.panel_rows if rows else tile.value.columns

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _, source, place_bytes, steps, valid, destination = arguments
            v = Vectors(builder, tile.value)
            _emit_transpose(v, source, place_bytes, steps, valid, destination, width)
            return context.get_dummy_value()

        return types.void(tile, *[types.int64] * 5), generate

    return transpose


_copy_rows, _copy_columns = _copying(rows=True), _copying(rows=False)
_transpose_rows, _transpose_columns = _transposing(rows=True), _transposing(rows=False)
