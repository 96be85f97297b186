"""The one form in which all checks see what they check: a function of named arrays with its pullback.

    y, pullback = function.vjp({"x": x, "weight": W, "bias": b})
    grads = pullback(dy)              {"x": dx, "weight": dW, "bias": db}

Whatever somebody calls a layer (an object with `forward` and `backward`, a `torch.autograd.Function`, a JAX function
with a custom rule, a layer of this package) is brought into this form by a small adapter.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, unknown_name

Arrays = dict[str, Array]
"""Named arrays; the input of a layer is "x", the others are its parameters."""

Pullback = Callable[[Array], Arrays]
"""From dy, shaped like y, to the gradient of Σ dy · y with respect to each input, in arrays of its own."""

AtKink = Literal["any", "left", "right", "mean"]
BatchRule = Literal["independent", "coupled", "positional"]


@dataclass(frozen=True)
class Function:
    """A differentiable function of named arrays, and what is known about it.

    Attributes:
        name: for messages.
        vjp: from named arrays to y and its pullback; arrays of any float dtype, complex ones where `analytic`.
        parameters: the values of all inputs but x.
        analytic: whether a complex step through it is exact.
        pieces: which smooth piece of the function each kinked element lies on; None where that is not known, and
            kinks are then recognised by their two one-sided slopes.
        at_kink: which of the one-sided derivatives backward has to return at a kink, where `pieces` doesn't say.
        batch: "independent" samples, rows of x that never meet; "coupled", rows that meet in a way that doesn't
            depend on their order (batch normalisation); "positional", rows whose number matters (dropout's mask).
        expectation: for a function with noise in it, what its value is on average over that noise.
        value: y alone, where that is cheaper than `vjp`.
        vjp_after: from inputs, other inputs and a dy to what `vjp` gives at the other inputs, from an object that did
            both passes at the first ones before; None where `vjp` is always that of the same object.
        code: lines of Python that make the object under test as `layer`.

    Raises:
        ArgumentError: for another `at_kink` or `batch`, and for a parameter that goes by "x".
    """

    name: str
    vjp: Callable[[Arrays], tuple[Array, Pullback]]
    parameters: Arrays = field(default_factory=dict)
    analytic: bool = False
    pieces: Callable[[Arrays], list[Array]] | None = None
    at_kink: AtKink = "any"
    batch: BatchRule = "independent"
    expectation: Callable[[Arrays], Array] | None = None
    value: Callable[[Arrays], Array] | None = None
    vjp_after: Callable[[Arrays, Arrays, Array], tuple[Array, Pullback]] | None = None
    code: str = "layer = ..."

    def __post_init__(self) -> None:
        for argument, rules in (("at_kink", AtKink), ("batch", BatchRule)):
            given = getattr(self, argument)
            if not isinstance(given, str):
                expected, mend = "one of " + ", ".join(get_args(rules)), "call a parameter of that name something else"
                raise ArgumentTypeError(argument, given=checks.describe(given), expected=expected, mend=mend)
            if given not in get_args(rules):
                raise unknown_name(argument, given, get_args(rules))
        if "x" in self.parameters:
            expected = "another name: x is the input"
            raise ArgumentError("parameters", given="one named 'x'", expected=expected, mend="rename it")

    def __call__(self, inputs: Arrays) -> Array:
        """The value alone."""
        return self.vjp(inputs)[0] if self.value is None else self.value(inputs)


def numbers(name: str, value: Any) -> Array:
    """A parameter as an array of its own: from an array, a number, or a tensor, which may track its gradient."""
    return np.array(checks.numeric(name, value.detach() if hasattr(value, "detach") else value))


def give_back(given: Array, now: Array) -> None:
    """Show in `given` what a pass made of it, which has worked on another array."""
    if now is not given and not np.array_equal(given, now, equal_nan=True):
        given[...] = now
