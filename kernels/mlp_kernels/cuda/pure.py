"""Functions that work on what they are given, and ask for no thread or block number themselves.

Kernels of a training step are made of these: a kernel finds out which thread it is and puts that into a `Frame`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from mlp_kernels.cuda.device import IS_SIMULATOR, device

if IS_SIMULATOR:

    def pure(function: Callable[..., Any]) -> Any:
        """Plain Python: it needs none of what the simulator does around a device function."""
        return function

    def plain(array: Any) -> Any:
        """The NumPy array behind one that a kernel was given, which is ten times as fast to index."""
        return array._item._ary if hasattr(array, "_item") else array

    @cache
    def registers_of(element: Any, size: int) -> Callable[[], Any]:
        """A function that returns `size` elements of a thread's own."""
        dtype = np.dtype(str(element))
        return lambda: np.zeros(size, dtype)

else:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    from mlp_kernels.cuda.ptx import intrinsic

    def pure(function: Callable[..., Any]) -> Any:
        """A device function."""
        return device(function)

    @device
    def plain(array: Any) -> Any:
        """The array."""
        return array

    @cache
    def registers_of(element: Any, size: int) -> Callable[[], Any]:
        """A function that returns `size` elements of a thread's own: registers, if all indices are constants."""

        @intrinsic  # type: ignore[untyped-decorator]  # Numba's
        def allocate(_typing: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, _arguments: Any) -> Any:
                kind, width = context.get_data_type(element), int(element.bitwidth) // 8
                memory = cgutils.alloca_once(builder, ir.ArrayType(kind, size))
                array = context.make_array(signature.return_type)(context, builder)
                context.populate_array(
                    array,
                    data=builder.bitcast(memory, kind.as_pointer()),
                    shape=[ir.Constant(ir.IntType(64), size)],
                    strides=[ir.Constant(ir.IntType(64), width)],
                    itemsize=ir.Constant(ir.IntType(64), width),
                    meminfo=None,
                )
                return array._getvalue()

            return types.Array(element, 1, "C")(), generate

        return allocate
