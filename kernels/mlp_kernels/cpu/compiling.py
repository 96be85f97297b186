"""How every kernel is compiled: on its first call, without the GIL, and kept on disk."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import config, njit
from numba.extending import register_jitable

from mlp_kernels.cpu.caching import KernelCache
from mlp_kernels.cpu.compilers import KernelCompiler, PartCompiler


def kernel(function: Callable[..., Any]) -> Any:
    """`function` as a Numba kernel: compiled on the first call, callable from several threads at once.

    The compiled code is kept by `KernelCache`; where no folder can be written, each process compiles for
    itself. Floating point follows IEEE 754 as written: LLVM may not take for granted that there is no NaN or
    infinity; `error_model="numpy"` makes division by zero give infinity rather than test for it.

    >>> @kernel
    ... def halved(x):
    ...     return 0.5 * x
    >>> halved(3.0)
    1.5
    """
    if config.DISABLE_JIT:  # Numba's own switch: for stepping through a kernel as the Python that it is
        return function
    dispatcher = njit(nogil=True, error_model="numpy", pipeline_class=KernelCompiler)(function)
    with suppress(RuntimeError):  # no folder can be written
        dispatcher._cache = KernelCache(function)  # what `cache=True` does, with Numba's own class
    _as_a_part(dispatcher)
    return dispatcher


def _as_a_part(dispatcher: Any) -> None:
    """Compile the kernel for other kernels without what only Python needs of it; nor is that kept on disk."""
    part = njit(error_model="numpy", pipeline_class=PartCompiler)(dispatcher.py_func)
    dispatcher.get_call_template, dispatcher.get_overload = part.get_call_template, part.get_overload


def inlined(function: Callable[..., Any]) -> Any:
    """`function` as a part of whatever kernel calls it; to Python it stays what it is.

    >>> inlined(abs)(-1)
    1
    """
    return register_jitable(pipeline_class=PartCompiler)(function)
