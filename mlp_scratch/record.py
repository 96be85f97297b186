"""What layers, losses, optimisers and initialisers have in common: they are frozen records of plain values."""

from contextlib import suppress
from dataclasses import dataclass, fields
from numbers import Rational

import numpy as np

from mlp_scratch import checks


@dataclass(frozen=True)
class Record:
    """A frozen dataclass whose NumPy scalars become Python's, and whose values are then checked.

    A NumPy scalar would carry its dtype into arithmetic (`np.float64(0.1) * x` is float64 whatever `x` is) and
    could not be written as JSON; a Python number does neither. A field that is declared `float` is one, even if an
    integer or a fraction was given: compiled code knows the types of numbers. One that is declared `bool` takes True
    and False alone: "no" would count as true.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.bool_ | np.integer | np.floating):
                # longdouble's own item() stays a NumPy scalar
                plain = value.item() if isinstance(value, np.bool_ | np.integer) else float(value)
                object.__setattr__(self, field.name, plain)
            elif field.type is float and isinstance(value, Rational) and not isinstance(value, bool):
                with suppress(OverflowError):  # then `check` says what is wrong with it
                    object.__setattr__(self, field.name, float(value))
            if field.type is bool:
                checks.boolean(field.name, getattr(self, field.name))
        self.check()

    def check(self) -> None:
        """Raise an `ArgumentError` for values that make no sense; called once they are plain."""
