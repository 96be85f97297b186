"""Named tuples that are handed on by reference: one pointer, where each call would write and read every field.

>>> from typing import NamedTuple
>>> from numba import njit
>>> class Pair(NamedTuple):
...     one: int
...     other: float
>>> @njit
... def total(pair):
...     return pair.one + pair.other
>>> njit(lambda: total(reference(Pair(1, 0.5))))()
1.5
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.errors import TypingError
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, register_model


class ReferenceType(types.Type):  # type: ignore[misc]  # Numba has no types for a checker
    """A pointer to a named tuple of the type `target`, whose fields can be read and not written."""

    def __init__(self, target: Any) -> None:
        self.target = target
        super().__init__(f"reference to {target}")


@register_model(ReferenceType)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, manager.lookup(kind.target).get_data_type().as_pointer())


@infer_getattr
class _Fields(AttributeTemplate):  # type: ignore[misc]
    key = ReferenceType

    def generic_resolve(self, kind: Any, name: str) -> Any:
        return dict(zip(kind.target.fields, kind.target.types, strict=True)).get(name)


@lower_getattr_generic(ReferenceType)  # type: ignore[untyped-decorator]
def _field(context: Any, builder: ir.IRBuilder, kind: Any, place: ir.Value, name: str) -> ir.Value:
    i = kind.target.fields.index(name)
    stored = builder.load(cgutils.gep_inbounds(builder, place, 0, i))
    return context.data_model_manager[kind.target.types[i]].from_data(builder, stored)


@intrinsic  # type: ignore[untyped-decorator]
def reference(_context: Any, fields: Any) -> Any:
    """A named tuple of numbers and pointers, put on the stack of the function that asks for it until that returns.

    No references are counted: an array could be freed while its field is still read, so there may be none.
    """
    for name, kind in zip(fields.fields, fields.types, strict=True):
        if isinstance(kind, types.Array):
            raise TypingError(f"reference: expected numbers and pointers, got an array, {name}; pass its pointer")

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        stored = context.data_model_manager[signature.args[0]].as_data(builder, arguments[0])
        place = cgutils.alloca_once(builder, stored.type)
        builder.store(stored, place)
        return place

    return ReferenceType(fields)(fields), generate
