"""A vector register as a value of compiled code: `a * b + c` of two kernels' variables is one instruction each.

LLVM turns a loop over elements into vector instructions when it sees that it may, and into something else when it
thinks that it knows better. Where every instruction counts, a kernel says what it wants:

    top = load_lanes(tile, z, 0)                       tile.lanes elements from memory
    for c in range(1, outputs):
        row = load_lanes(tile, z, c * width)
        top = where(row > top, row, top)               a choice for each lane
    store_lanes(largest, 0, top)

Without the compiler the same lines mean the same of NumPy arrays. `lanes.Lanes` are for Python code that writes
instructions; these are for kernels.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model


class LanesType(types.Type):  # type: ignore[misc]  # Numba's
    """`lanes` values of a scalar type: of floats, of integers as wide, or of booleans that a comparison made."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"{lanes} lanes of {dtype}")

    def of(self, dtype: Any) -> "LanesType":
        """As many lanes of another type."""
        return LanesType(dtype, self.lanes)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]  # Numba's
    def __init__(self, manager: Any, kind: LanesType) -> None:
        element = ir.IntType(1) if kind.dtype == types.boolean else manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _binary(operation: Any, floats: str, integers: str, *, result: Any = None) -> None:
    """Give `operation` of two vectors of one type its instruction, a method of LLVM's builder with its flags."""

    @infer_global(operation)
    class _Typing(AbstractTemplate):  # type: ignore[misc]  # Numba's
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], LanesType) and args[0] == args[1]:
                return signature(args[0].of(result) if result else args[0], *args)
            return None

    def lower(_context: Any, builder: ir.IRBuilder, sig: Any, arguments: Any) -> ir.Value:
        name = floats if isinstance(sig.args[0].dtype, types.Float) else integers
        instruction, *flags = name.split()
        return getattr(builder, instruction)(*flags, *arguments)

    lower_builtin(operation, LanesType, LanesType)(lower)


_binary(operator.add, "fadd", "add")
_binary(operator.sub, "fsub", "sub")
_binary(operator.mul, "fmul", "mul")
_binary(operator.truediv, "fdiv", "")
_binary(operator.lshift, "", "shl")
_binary(operator.rshift, "", "ashr")
_binary(operator.gt, "fcmp_ordered >", "icmp_signed >", result=types.boolean)
_binary(operator.lt, "fcmp_ordered <", "icmp_signed <", result=types.boolean)
_binary(operator.eq, "fcmp_ordered ==", "icmp_signed ==", result=types.boolean)


def spread(builder: ir.IRBuilder, scalar: ir.Value, kind: ir.Type) -> ir.Value:
    """A scalar in every lane of a vector; as it is where `kind` is no vector."""
    if not isinstance(kind, ir.VectorType):
        return scalar
    if isinstance(scalar, ir.Constant):
        return ir.Constant(kind, [scalar.constant] * kind.count)
    undefined, lane = ir.Constant(kind, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(undefined, scalar, ir.Constant(lane, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(lane, kind.count), [0] * kind.count))


@intrinsic  # type: ignore[untyped-decorator]
def load_lanes(_context: Any, tile: Any, pointer: Any, offset: Any) -> Any:
    """`tile.lanes` elements from `pointer + offset` on."""
    result = LanesType(pointer.dtype, tile.value.lanes)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        place = builder.gep(arguments[1], [arguments[2]])
        return builder.load(builder.bitcast(place, context.get_value_type(result).as_pointer()), align=1)

    return result(tile, pointer, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def store_lanes(_context: Any, pointer: Any, offset: Any, lanes: Any) -> Any:
    """A vector to `pointer + offset` and on."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        pointer, offset, vector = arguments
        place = builder.gep(pointer, [offset])
        builder.store(vector, builder.bitcast(place, vector.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, lanes), generate


@intrinsic  # type: ignore[untyped-decorator]
def where(_context: Any, mask: Any, x: Any, y: Any) -> Any:
    """x in the lanes of a mask, y in the others; of a single condition, one of two numbers."""

    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
        condition = arguments[0]
        if isinstance(mask, types.Boolean):
            condition = cgutils.is_true(builder, condition)
        return builder.select(condition, *arguments[1:])

    return x(mask, x, x), generate
