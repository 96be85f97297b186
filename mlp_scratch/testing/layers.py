"""`check_layer`: every property of a layer, at one input or at all that a strategy draws."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Union

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, unknown_name
from mlp_scratch.layers import Layer
from mlp_scratch.testing.adapters import as_function
from mlp_scratch.testing.agreement import agreement
from mlp_scratch.testing.batches import batch_additivity, batch_permutation
from mlp_scratch.testing.derivative import adjoint, derivative, hessian_symmetry, something_known
from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.function import Function
from mlp_scratch.testing.kinks import off_kinks
from mlp_scratch.testing.linearity import linearity
from mlp_scratch.testing.noise import unbiased
from mlp_scratch.testing.point import Counts, Point
from mlp_scratch.testing.purity import purity, repeatability
from mlp_scratch.testing.storage import layout, single_precision

if TYPE_CHECKING:  # not needed to check one array
    from hypothesis.strategies import SearchStrategy

PROPERTIES: dict[str, Callable[[Point], None]] = {
    "purity": purity,
    "repeatability": repeatability,
    "derivative": derivative,
    "adjoint": adjoint,
    "linearity": linearity,
    "batch_additivity": off_kinks(batch_additivity),
    "batch_permutation": off_kinks(batch_permutation),
    "hessian_symmetry": hessian_symmetry,
    "unbiased": unbiased,
    "layout": off_kinks(layout),
    "single_precision": off_kinks(single_precision),
}
"""The properties of a layer by name, in the order in which they are checked."""


def check_layer(
    layer: object,
    x: Union[Array, list[Any], "SearchStrategy[Array]"],
    *,
    reference: object = None,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
) -> Counts:
    """Hold a layer to every property that a correct backward has.

    Args:
        layer: an object with `forward(x)` and `backward(dy)`, see `from_object`; or what `from_torch`, `from_jax` or
            `from_engine` made of something else.
        x: one input, (N, D), or a strategy that draws inputs: `strategies.batches(n_features=D)`.
        reference: another implementation of the same function, in any of these forms; adds the property "agreement".
        only: names of the properties to check; None checks all of `PROPERTIES`.
        skip: names of properties to leave out.

    Returns:
        How many derivatives were compared.

    Raises:
        PropertyError: for a property that does not hold, with the smallest input found that shows it.
        ArgumentError: for a name that is no property, for no property at all, for a layer that is none, and for an x
            of no numbers.

    >>> import numpy as np
    >>> class Square:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x * x
    ...     def backward(self, dy):
    ...         return 2.001 * self.x * dy
    >>> check_layer(Square(), [[1.0]])
    Traceback (most recent call last):
    mlp_scratch.testing.failure.PropertyError: derivative: backward returns the derivative of what forward computes
    ...
    """
    function = as_function(layer)
    other = None if reference is None else _reference(reference)
    names = selected(PROPERTIES, only, skip, also=() if other is None else ("agreement",))
    counts = Counts()

    def check(x: Array) -> None:
        point = Point(function, x, counts)
        for name in names:
            if name != "agreement":
                PROPERTIES[name](point)
            elif other is not None:
                agreement(point, other)

    at_each(x, check, names)
    something_known(counts)
    return counts


def _reference(reference: object) -> Function:
    if not isinstance(reference, Function | Layer):
        checks.having("reference", reference, ("forward", "backward"), "or what from_torch or from_jax returns")
    return as_function(reference)


def selected(
    table: Collection[str], only: Collection[str] | None, skip: Collection[str], also: Collection[str] = ()
) -> list[str]:
    """The names in `table` and `also` that `only` and `skip` leave, in their order."""
    names = [*table, *also]
    for argument, chosen in (("only", () if only is None else only), ("skip", skip)):
        if isinstance(chosen, str) or not isinstance(chosen, Collection):
            raise ArgumentTypeError(argument, given=checks.describe(chosen), expected="a list of names")
        for name in chosen:
            if name not in names:
                raise unknown_name(argument, name, names)
    left = [name for name in names if (only is None or name in only) and name not in skip]
    if not left:
        argument, given = ("only", only) if only is not None else ("skip", skip)
        raise ArgumentError(argument, given=list(given), expected="at least one property left to check")
    return left
