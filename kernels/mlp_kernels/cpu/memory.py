"""Raw memory for compiled loops: typed pointers, without bounds, strides or reference counts.

A training loop touches dozens of blocks a step, each at an offset that a table holds. An array view of each would
cost more than the arithmetic of a small network; a pointer costs nothing. Offsets are counted in elements.
"""

from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def pointer_to(_context: Any, array: Any) -> Any:
    """The address of the first element of an array, typed; the caller keeps the array alive."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def pointer_at(_context: Any, address: Any, kind: Any) -> Any:
    """An integer address as a pointer to elements of a NumPy scalar type such as `np.float32`."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(kind.dtype)(types.int64, kind), generate


@intrinsic  # type: ignore[untyped-decorator]
def pointer_like(_context: Any, address: Any, like: Any) -> Any:
    """An integer address as a pointer of the type of another."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return like(types.int64, like), generate


@intrinsic  # type: ignore[untyped-decorator]
def local_row(_context: Any, tile: Any) -> Any:
    """One row of a panel on the stack, for lanes that a loop adds up in.

    LLVM knows that no other pointer leads there. Of pointers it was given it must ask, in every loop, whether one
    loop's stores change what the next one loads.
    """
    element = types.CPointer(from_dtype(tile.value.dtype))

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> ir.Value:
        kind = context.get_value_type(element).pointee
        place = cgutils.alloca_once(builder, kind, size=ir.Constant(ir.IntType(64), tile.value.columns))
        place.align = 64
        return place

    return element(tile), generate


@intrinsic  # type: ignore[untyped-decorator]
def size_of(_context: Any, kind: Any) -> Any:
    """Bytes of a NumPy scalar type."""
    size = kind.dtype.bitwidth // 8

    def generate(_context: Any, _builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> ir.Value:
        return ir.Constant(ir.IntType(64), size)

    return types.int64(kind), generate


@intrinsic  # type: ignore[untyped-decorator]
def shift(_context: Any, pointer: Any, offset: Any) -> Any:
    """`pointer + offset`."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def load(_context: Any, pointer: Any, offset: Any) -> Any:
    """The element at `pointer + offset`, which need not be aligned."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.load(builder.gep(arguments[0], [arguments[1]]), align=1)

    return pointer.dtype(pointer, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(_context: Any, pointer: Any, offset: Any, value: Any) -> Any:
    """Write `value`, converted to the pointer's type, to `pointer + offset`."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        builder.store(arguments[2], builder.gep(arguments[0], [arguments[1]]), align=1)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, pointer.dtype), generate


@intrinsic  # type: ignore[untyped-decorator]
def number(_context: Any, like: Any, value: Any) -> Any:
    """`value` in the float type of `like`, a pointer or a number.

    A float64 literal in float32 arithmetic would turn all of it into float64, at half of the speed.
    """
    kind = like.dtype if isinstance(like, types.CPointer) else like

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return arguments[1] if kind == types.float64 else builder.fptrunc(arguments[1], ir.FloatType())

    return kind(like, types.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def bits(_context: Any, value: Any) -> Any:
    """The bits of a float as an integer, those of a float32 sign-extended to 64."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        if value == types.float64:
            return builder.bitcast(arguments[0], ir.IntType(64))
        return builder.sext(builder.bitcast(arguments[0], ir.IntType(32)), ir.IntType(64))

    return types.int64(value), generate


@intrinsic  # type: ignore[untyped-decorator]
def from_bits(_context: Any, like: Any, value: Any) -> Any:
    """The float of the type of `like` whose bits are the low ones of an integer."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        if like == types.float64:
            return builder.bitcast(arguments[1], ir.DoubleType())
        return builder.bitcast(builder.trunc(arguments[1], ir.IntType(32)), ir.FloatType())

    return like(like, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def from_integer(_context: Any, like: Any, value: Any) -> Any:
    """An integer of at most 32 bits as a float of the type of `like`."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return builder.sitofp(builder.trunc(arguments[1], ir.IntType(32)), context.get_value_type(like))

    return like(like, types.int64), generate
