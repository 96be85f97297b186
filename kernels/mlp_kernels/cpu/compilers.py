"""How Numba compiles here: kernels as wholes, and as parts of other kernels, which need no machine code of their own.

Numba optimises each function that a kernel calls and compiles it to machine code, for whoever may call it from
elsewhere, and both once more within each function that calls it. Nobody calls a part from elsewhere, and the kernel
as a whole is optimised last: doing it only then shortens the wait for the first step, and lengthens no step.

Between two parts compilation can be given up, see `unless`.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llvmlite import ir
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class Abandoned(BaseException):
    """Compilation was given up: nobody waits for it any more. No `Exception`, of which Numba would make its own."""


_is_over: ContextVar[Callable[[], bool]] = ContextVar("_is_over", default=lambda: False)


@contextmanager
def unless(is_over: Callable[[], bool]) -> Iterator[None]:
    """Give up what this thread compiles inside the block once `is_over()`, by raising `Abandoned` before the next part.

    What is compiled by then stays, and compiling again begins with it.

    >>> with unless(lambda: False):
    ...     pass
    """
    token = _is_over.set(is_over)
    try:
        yield
    finally:
        _is_over.reset(token)


def go_on() -> None:
    """Raise `Abandoned` where nobody waits any more."""
    if _is_over.get()():
        raise Abandoned


class PartLibrary(JITCodeLibrary):  # type: ignore[misc]  # Numba's
    """The IR of a part and of the parts that it calls, as it was written: the kernel that links it in is optimised."""

    def _optimize_functions(self, _module: Any) -> None:
        pass

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True  # and nothing goes to the linker: no address of anything here is ever asked for


class PartCompiler(Compiler):  # type: ignore[misc]  # Numba's
    """Numba's compiler, less what only a function needs that is called from Python."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        go_on()
        state = self.state
        state.library = PartLibrary(state.targetctx.codegen(), func.__qualname__)
        state.flags.no_cpython_wrapper = state.flags.no_cfunc_wrapper = True
        state.flags.no_compile = True  # of the library, so that there is no function of C to stand for the part ...
        result = super().compile_extra(func)._replace(entry_point=[].append)  # ... so here is one, which nobody calls
        state.targetctx.insert_user_function(result.entry_point, result.fndesc, [result.library])
        return result


class KernelCompiler(Compiler):  # type: ignore[misc]  # Numba's
    """Numba's compiler for what is called from Python or through an address."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        go_on()
        with _garbage_left():
            return super().compile_extra(func)


class AddressLibrary(JITCodeLibrary):  # type: ignore[misc]  # Numba's
    """A function and the one of C's calling convention that stands for it, made one.

    Apart, each call would hand on a dozen arguments through memory twice: read as vectors right after they were written
    one by one, they have to leave the core's queue first.
    """

    def add_ir_module(self, module: ir.Module) -> None:
        calls = (each for function in module.functions for block in function.blocks for each in block.instructions)
        for call in calls:
            if isinstance(call, ir.CallInstr):
                call.attributes.discard("noinline")  # Numba's, for whoever has other callers
        super().add_ir_module(module)

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and not function.name.startswith("cfunc."):
                function.add_function_attribute("alwaysinline")
                function.linkage = "internal"  # so that no copy is left, which would be compiled as well
        super()._optimize_final_module()


class AddressCompiler(KernelCompiler):
    """Numba's compiler for what is called through an address alone."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        self.state.library = AddressLibrary(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()  # as Numba does, to keep it on disk
        return super().compile_extra(func)


@contextmanager
def _garbage_left() -> Iterator[None]:
    """Put off the search for unreachable cycles of objects: a compiler makes many objects and keeps nearly all.

    Looking through them again and again takes a good part of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
