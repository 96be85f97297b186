"""An activation from two functions of a number: no class to write, and compiled where the backend compiles."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentTypeError
from mlp_scratch.layers.base import Activation, Parameters
from mlp_scratch.scalars import Scalar, check_callable, check_name, elementwise


@dataclass(frozen=True)
class ScalarActivation(Activation):
    """y = f(x), element by element, for f and f' written as plain functions of a number.

    The NumPy backend calls them once an element; the compiled backend makes loops of them, if Numba can compile them
    (arithmetic, conditions, `math` and NumPy functions, closures over numbers), else `backend="auto"` trains on
    NumPy. Both see a float64 whatever the model's dtype is, and what they return is rounded to it. But compiled whole
    numbers have 64 bits: `int(x)`, `round(x)` or `math.floor(x)` of NaN, infinity or a larger number is wrong there,
    where Python raises or has more digits. `np.trunc`, `np.rint` and `np.floor` are right everywhere.

    What the functions read besides, in globals, a closure or a module, NumPy looks up whenever it calls them. For the
    compiled backend it is constant: during a fit as it was when that began, elsewhere as it is at the call. Where a
    number, an array or a tuple of those has changed since the last time, they are compiled anew, which takes a moment;
    of anything else it counts only whether it is the same object. A function inside them that `numba.njit` has
    compiled keeps the constants that it was compiled with.

    Args:
        name: what messages, listings and model files call it.
        f: the function.
        df: its derivative; `gradcheck` tells whether it is.
        kinks: where the derivative jumps, so that a gradient check doesn't take a difference across. At the kink
            itself df may return any slope between those on both sides.

    A file holds the name alone, since functions are code: `load(path, custom=[swish])` puts them back.

    >>> import math
    >>> from mlp_scratch import MLP, gradcheck
    >>> def swish(x):
    ...     return x / (1 + math.exp(-x))
    >>> def slope(x):
    ...     s = 1 / (1 + math.exp(-x))
    ...     return s + x * s * (1 - s)
    >>> model = MLP([3, 8, 2], activation=ScalarActivation("swish", swish, slope))
    >>> gradcheck(model, np.eye(3), [0, 1, 1], backend="numba").passed
    True
    """

    name: str
    f: Scalar
    df: Scalar
    kinks: tuple[float, ...] = ()

    analytic = False  # a complex step would need functions of complex numbers

    @property
    def kind(self) -> str:  # type: ignore[override]  # each has its own
        """The name."""
        return self.name

    def check(self) -> None:
        check_name("name", self.name)
        check_callable("f", self.f)
        check_callable("df", self.df)
        if isinstance(self.kinks, str) or not np.iterable(self.kinks):
            raise ArgumentTypeError("kinks", given=checks.describe(self.kinks), expected="numbers", mend="try (0.0,)")
        object.__setattr__(self, "kinks", tuple(sorted(checks.real("kinks", kink) for kink in self.kinks)))

    def function(self, x: Array) -> Array:
        return elementwise(f"f of {self.name}", self.f, x)

    def derivative(self, x: Array) -> Array:
        return elementwise(f"df of {self.name}", self.df, x)

    def pieces(self, parameters: Parameters, x: Array) -> Array | None:
        if not self.kinks:
            return None
        # On a kink x lies halfway between two pieces: on neither.
        return (np.searchsorted(self.kinks, x, "left") + np.searchsorted(self.kinks, x, "right")) / 2
