"""Panels: the order in which the register tile reads its operands, made by copying blocks of them.

A tile reads R elements of A and one row of B a step. In a matrix those lie far apart, a cache line and often
a memory page each; packed, they lie one after the other. Both operands have the same form: a matrix of K
steps by W places is cut into panels of `width` places, each stored step by step.

    matrix, K x W                          memory
    | panel 0 | panel 1 | panel 2 ..|      panel 0: k=0 | k=1 | ... | k=K-1 | panel 1: k=0 | ...
      width     width     the rest           each step `width` elements, the last panel's padded

For B the places are its columns, for A its rows; any other layout is a pair of strides, so a transposed
operand costs no copy of its own. Strides are in bytes and may be negative or zero. The padding holds copies
of the last place: never a denormal that the data doesn't have, for those are slow on some CPUs.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors, index

Array: TypeAlias = npt.NDArray[Any]


def reference(matrix: Array, width: int) -> Array:
    """The panels of `matrix` (K, W) as an array (panels, K, width).

    >>> reference(np.arange(6).reshape(2, 3), width=2).tolist()
    [[[0, 1], [3, 4]], [[2, 2], [5, 5]]]
    """
    panels = -(-matrix.shape[1] // width)
    places = np.minimum(np.arange(panels * width), matrix.shape[1] - 1)
    return matrix[:, places].reshape(matrix.shape[0], panels, width).swapaxes(0, 1).copy()


@kernel
def pack_rows(
    tile: Tile, source: int, row_bytes: int, step_bytes: int, rows: int, depth: int, destination: int
) -> None:
    """A block of A, `rows` x `depth`, as panels of `tile.rows` rows, `tile.panel_rows` elements a step.

    The destination needs room for all panels and `tile.lanes` steps more.
    """
    size = tile.element_bytes
    for first in range(0, rows, tile.rows):
        valid = min(tile.panel_rows, rows - first)
        panel = source + first * row_bytes
        if step_bytes == size:
            for k in range(0, depth, tile.lanes):
                _transpose_rows(
                    tile, panel + k * size, row_bytes, depth - k, valid, destination + k * tile.panel_rows * size
                )
        elif row_bytes == size:
            for k in range(depth):
                _copy_rows(tile, panel + k * step_bytes, valid, destination + k * tile.panel_rows * size)
        else:
            _gather(tile, panel, row_bytes, step_bytes, valid, tile.panel_rows, depth, destination)
        destination += depth * tile.panel_rows * size


@kernel
def pack_columns(
    tile: Tile, source: int, step_bytes: int, column_bytes: int, depth: int, columns: int, destination: int
) -> None:
    """A block of B, `depth` x `columns`, as panels of `tile.columns` columns.

    The destination needs room for all panels and `tile.lanes` steps more.
    """
    size = tile.element_bytes
    for first in range(0, columns, tile.columns):
        valid = min(tile.columns, columns - first)
        panel = source + first * column_bytes
        if column_bytes == size:
            for k in range(depth):
                _copy_columns(tile, panel + k * step_bytes, valid, destination + k * tile.columns * size)
        elif step_bytes == size:
            for k in range(0, depth, tile.lanes):
                _transpose_columns(
                    tile, panel + k * size, column_bytes, depth - k, valid, destination + k * tile.columns * size
                )
        else:
            _gather(tile, panel, column_bytes, step_bytes, valid, tile.columns, depth, destination)
        destination += depth * tile.columns * size


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
        v = Vectors(builder, tile.tile)
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
    group = min(width, v.lanes)
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
        # A group as wide as the panel comes out as consecutive memory, a narrower one as a vector a step.
        apart = v.lanes if group == width else width
        for number, column in enumerate(v.transpose(values)):
            v.store(column, destination, first + number * apart)


def _copying(rows: bool) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def copy(_context: Any, tile: Any, source: Any, valid: Any, destination: Any) -> Any:
        width = tile.tile.panel_rows if rows else tile.tile.columns

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            v = Vectors(builder, tile.tile, lanes=min(width, tile.tile.lanes))
            _emit_copy(v, *arguments[1:], width=width)
            return context.get_dummy_value()

        return types.void(tile, types.int64, types.int64, types.int64), generate

    return copy


def _transposing(rows: bool) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def transpose(
        _context: Any, tile: Any, source: Any, place_bytes: Any, steps: Any, valid: Any, destination: Any
    ) -> Any:
        width = tile.tile.panel_rows if rows else tile.tile.columns

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
            _emit_transpose(Vectors(builder, tile.tile), *arguments[1:], width=width)
            return context.get_dummy_value()

        return types.void(tile, *[types.int64] * 5), generate

    return transpose


_copy_rows, _copy_columns = _copying(rows=True), _copying(rows=False)
_transpose_rows, _transpose_columns = _transposing(rows=True), _transposing(rows=False)
