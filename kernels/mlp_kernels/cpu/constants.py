"""Values that compiled code has as constants: a type of its own for each of them.

A kernel that takes such a value is compiled once per value, and an attribute of it, `tile.rows` say, is a
constant that loops are unrolled by. At run time nothing is passed.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import NativeValue, models, overload_attribute, register_model, typeof_impl, unbox

from mlp_kernels.cpu.compilers import PartCompiler

_Class = TypeVar("_Class")
_attributes: set[str] = set()


class ConstantType(types.Type):  # type: ignore[misc]  # Numba's
    """The Numba type of one value; named after it."""

    def __init__(self, value: Any) -> None:
        self.value = value
        super().__init__(repr(value))


_type_of = cache(ConstantType)  # a call of a kernel asks for it, and a name takes ten microseconds to write


def compile_time(*attributes: str) -> Callable[[type[_Class]], type[_Class]]:
    """A class decorator: instances passed to kernels are constants, with these numbers as attributes.

    Instances must be immutable, hashable, picklable, and told apart by their `repr`: frozen dataclasses.
    """

    def decorate(cls: type[_Class]) -> type[_Class]:
        @typeof_impl.register(cls)  # type: ignore[untyped-decorator]  # Numba's
        def _typeof(value: Any, _context: Any) -> ConstantType:
            return _type_of(value)

        for name in set(attributes) - _attributes:
            _attributes.add(name)
            _register_attribute(name)
        return cls

    return decorate


def _register_attribute(name: str) -> None:
    @overload_attribute(ConstantType, name, jit_options={"pipeline_class": PartCompiler})  # type: ignore[untyped-decorator]  # Numba's
    def attribute(constant: Any) -> Any:
        if not hasattr(constant.value, name):
            return None  # to Numba: there is no such attribute
        number = getattr(constant.value, name)

        def get(constant: Any) -> Any:  # Numba wants the annotations of the two to agree
            return number

        return get


@register_model(ConstantType)
class _ConstantModel(models.OpaqueModel):  # type: ignore[misc]  # Numba's
    """Nothing at run time: all that there is to know is in the type."""


@lower_constant(ConstantType)  # type: ignore[untyped-decorator]  # Numba's
def _lower(context: Any, _builder: Any, kind: ConstantType, _value: Any) -> Any:
    """A value that a kernel finds in its closure."""
    return cgutils.get_null_value(context.get_value_type(kind))


@unbox(ConstantType)  # type: ignore[untyped-decorator]  # Numba's
def _unbox(kind: ConstantType, _value: Any, context: Any) -> NativeValue:
    return NativeValue(cgutils.get_null_value(context.context.get_value_type(kind)))
