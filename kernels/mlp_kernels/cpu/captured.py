"""What a user's function reads besides its arguments, which Numba makes constants of the compiled code.

Numba takes globals, closures and defaults as they are when it compiles, and never looks at them again. So whoever
keeps compiled code asks here whether it is still that of the function: as often as tables are made, not at each step.
"""

from collections.abc import Hashable
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

BY_VALUE = (bool, int, float, complex, str, bytes, np.generic, type(None))


def captured(function: object) -> Hashable:
    """What `function` is made of and reads, equal as long as none of it has changed.

    Numbers, texts, arrays and tuples of these count by what they hold, other objects by being the same ones. In a
    module counts what the function can read there. Functions that Numba has compiled keep their constants themselves,
    and other ones can't be called by compiled code: nothing is read of either.

    >>> def times(k):
    ...     return lambda x: k * x
    >>> captured(times(2.0)) == captured(times(2.0)), captured(times(2.0)) == captured(times(3.0))
    (True, False)
    """
    if not isinstance(function, FunctionType):
        return ()
    names = _names(function.__code__)
    variables = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    closure = {name: cell.cell_contents for name, cell in variables.items() if _is_filled(cell)}
    spaces = [closure, function.__globals__]
    for space in spaces:  # which grows by the modules that are found in it
        for value in (space[name] for name in (*closure, *names) if name in space):
            if isinstance(value, ModuleType) and all(vars(value) is not known for known in spaces):
                spaces.append(vars(value))
    read = tuple((name, _held(space[name])) for space in spaces for name in (*closure, *names) if name in space)
    keywords = tuple((function.__kwdefaults__ or {}).items())
    return function.__code__, read, _held((function.__defaults__, keywords))


def _names(code: CodeType) -> tuple[str, ...]:
    """The names of globals and attributes in `code`, and in the functions that are written inside it."""
    inside = (_names(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return tuple(dict.fromkeys([*code.co_names, *(name for names in inside for name in names)]))


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # the variable has no value yet
        return False
    return True


def _held(value: object) -> Hashable:
    if isinstance(value, tuple):
        return type(value), *map(_held, value)
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, BY_VALUE):
        return type(value), repr(value)  # which tells -0.0 from 0.0, and takes one NaN for another
    return _Same(value)


class _Same:
    """An object, equal to nothing but itself, and kept, so that no other can have its address."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
