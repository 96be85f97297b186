"""Raw memory for compiled loops: typed pointers, without bounds, strides or reference counts.

A training loop touches dozens of blocks a step, each at an offset that a table holds. An array view of each would
cost more than the arithmetic of a small network; a pointer costs nothing. Offsets are counted in elements.
"""

from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic

from mlp_kernels.cpu.lane_values import LanesType, spread


@intrinsic  # type: ignore[untyped-decorator]
def pointer_to(_context: Any, array: Any) -> Any:
    """The address of the first element of an array, typed; the caller keeps the array alive."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def start_of(_context: Any, array: Any) -> Any:
    """The address of the first element of an array, as an integer; the caller keeps the array alive."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, ir.IntType(64))

    return types.int64(array), generate


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


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def local(_context: Any, count: Any, kind: Any) -> Any:
    """Numbers of a NumPy scalar type on the stack: as many as a constant says, or as a tile has columns.

    An array of NumPy's would do as well, but whoever starts for the first time would wait longer for the compiler.
    """
    element = types.CPointer(kind.dtype)
    many = count.literal_value if isinstance(count, types.IntegerLiteral) else count.value.columns

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> ir.Value:
        size = ir.Constant(ir.IntType(64), many)
        return cgutils.alloca_once(builder, context.get_value_type(element).pointee, size=size)

    return element(count, kind), generate


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
    """`value` in the float type of `like`: a pointer, a number or a vector of them, which then has it in every lane.

    A float64 literal in float32 arithmetic would turn all of it into float64, at half of the speed.
    """
    kind = like.dtype if isinstance(like, types.CPointer) else like

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        scalar = arguments[1] if scalar_of(kind) == types.float64 else builder.fptrunc(arguments[1], ir.FloatType())
        return spread(builder, scalar, context.get_value_type(kind))

    return kind(like, types.float64), generate


@intrinsic  # type: ignore[untyped-decorator]
def bits(_context: Any, value: Any) -> Any:
    """The bits of a float as an integer, those of a float32 sign-extended to 64; of a vector, integers as wide."""
    single = scalar_of(value) == types.float32
    kind = value.of(types.int32 if single else types.int64) if isinstance(value, LanesType) else types.int64

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        if kind == types.int64:
            same = builder.bitcast(arguments[0], ir.IntType(32 if single else 64))
            return builder.sext(same, ir.IntType(64)) if single else same
        return builder.bitcast(arguments[0], context.get_value_type(kind))

    return kind(value), generate


@intrinsic  # type: ignore[untyped-decorator]
def from_bits(_context: Any, like: Any, value: Any) -> Any:
    """The float of the type of `like` whose bits are the low ones of an integer; or a vector of a vector."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        word = builder.trunc(arguments[1], ir.IntType(32)) if like == types.float32 else arguments[1]
        return builder.bitcast(word, context.get_value_type(like))

    return like(like, value), generate


@intrinsic  # type: ignore[untyped-decorator]
def from_integer(_context: Any, like: Any, value: Any) -> Any:
    """An integer of at most 32 bits as a float of the type of `like`; or a vector of a vector."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        word = arguments[1] if isinstance(like, LanesType) else builder.trunc(arguments[1], ir.IntType(32))
        return builder.sitofp(word, context.get_value_type(like))

    return like(like, value), generate


@intrinsic  # type: ignore[untyped-decorator]
def multiply_add(_context: Any, x: Any, y: Any, z: Any) -> Any:
    """`x * y + z`, rounded once where the CPU can, else twice."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        return fused_multiply_add(builder, *arguments)

    return x(x, x, x), generate


def scalar_of(kind: Any) -> Any:
    """The type of one lane of a vector; a scalar's own."""
    return kind.dtype if isinstance(kind, LanesType) else kind


def fused_multiply_add(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """`x * y + z` of scalars or vectors; why not `llvm.fma`, `vector_ir.Vectors.multiply_add` says."""
    kind, vector = x.type, isinstance(x.type, ir.VectorType)
    width = 64 if (kind.element if vector else kind) == ir.DoubleType() else 32
    name = f"llvm.fmuladd.{f'v{kind.count}' if vector else ''}f{width}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
    return builder.call(function, [x, y, z])
