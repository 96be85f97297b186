"""Compiled functions as addresses, so that a table can say what is called.

The training loop is compiled once. What differs from network to network, an activation, a loss, an optimiser, the
number type of the data, it calls through an address that stands in a table, as it reads sizes and offsets from one.
Each such function is compiled, and kept on disk, when the first network needs it; a user's own joins in the same
way. A call costs two nanoseconds and serves a whole block.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from mlp_kernels.cpu.announcing import announcing
from mlp_kernels.cpu.caching import KernelCache
from mlp_kernels.cpu.compilers import AddressCompiler
from mlp_kernels.cpu.constants import ConstantType
from mlp_kernels.cpu.tile import Tile

INT, REAL, INTS = types.int64, types.float64, types.CPointer(types.int64)
"""Types of arguments besides pointers to a tile's elements, which a signature writes as `FLOATS`."""

NOTHING = types.void
"""The type of a result that there is none of."""

FLOATS = "floats"


@cache
def address(
    function: Callable[..., Any], arguments: tuple[Any, ...], tile: Tile, kept: bool = True, *, result: Any = NOTHING
) -> int:
    """Where the code of `function(tile, *arguments)` lies, which is compiled now unless it was before.

    `kept` says whether it may come from the disk: where all that it depends on is in the sources of this package.
    """
    floats = types.CPointer(from_dtype(tile.dtype))
    kinds = (floats if argument is FLOATS else argument for argument in arguments)
    return address_of(function, (ConstantType(tile), *kinds), f"{function.__name__} for {tile.dtype}", kept, result)


def address_of(
    function: Callable[..., Any], arguments: tuple[Any, ...], name: str, kept: bool = True, result: Any = NOTHING
) -> int:
    """The same for `function(*arguments)`, arguments of any types; `name` is what a user is told is compiled."""
    return int(_compiled(function, arguments, name, kept, result).address)


@cache
def _compiled(function: Callable[..., Any], arguments: tuple[Any, ...], name: str, kept: bool, result: Any) -> Any:
    code: Any = CFunc(function, (arguments, result), {}, {"error_model": "numpy"}, AddressCompiler)
    if kept:
        with suppress(RuntimeError):  # no folder can be written
            code._cache = KernelCache(function)  # what `cache=True` does, with Numba's own class
    with announcing(name):
        code.compile()
    return code


def _call_for(result: Any) -> Any:
    """An intrinsic that calls code with a result of that type."""

    def call(_context: Any, function: Any, arguments: Any) -> Any:
        kinds = [types.unliteral(kind) for kind in arguments]

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> Any:
            given = cgutils.unpack_tuple(builder, values[1], len(kinds))
            cast = [
                context.cast(builder, value, have, want)
                for value, have, want in zip(given, signature.args[1], kinds, strict=True)
            ]
            returned = ir.VoidType() if result is NOTHING else context.get_value_type(result)
            kind = ir.FunctionType(returned, [value.type for value in cast])
            value = builder.call(builder.inttoptr(values[0], kind.as_pointer()), cast)
            return context.get_dummy_value() if result is NOTHING else value

        return result(types.int64, arguments), generate

    return intrinsic(call)


call = _call_for(NOTHING)
"""Call the code at an address with a tuple of arguments, whose types must be those it was compiled for."""

call_for_int = _call_for(INT)
"""The same of code that returns an int64."""
