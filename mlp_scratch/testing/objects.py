"""An object with two passes as a `Function`: a deep copy for each forward pass, at the numbers that a check puts in."""

from collections.abc import Mapping
from copy import copy, deepcopy
from itertools import combinations
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.testing.failure import literal, made, options
from mlp_scratch.testing.function import Arrays, AtKink, BatchRule, Function, Pullback, give_back, numbers


def from_object(
    layer: Any, *, analytic: bool = False, at_kink: AtKink = "any", batch: BatchRule = "independent"
) -> Function:
    """An object with `forward(x) -> y` and `backward(dy) -> dx`, and where it learns, dicts `params` and `grads`.

    The object itself is left as it is: each forward pass is that of a deep copy.

    Args:
        layer: the object.
        analytic: whether forward computes in complex numbers what it computes in real ones: the exact complex step
            is then used in place of differences.
        at_kink: which one-sided derivative backward returns at a kink: "left", "right", their "mean", or "any".
        batch: whether rows of x are "independent", "coupled" in any order, or "positional".

    Raises:
        ArgumentTypeError: for what has no two passes or can't be copied, and for parameters that are no arrays by name.
    """
    mend = "wrap a torch.autograd.Function F as from_torch(F.apply), a JAX function f as from_jax(f)"
    checks.having("layer", layer, ("forward", "backward"), mend)
    given = _arrays_by_name(getattr(layer, "params", {}))
    parameters = {name: numbers(name, value) for name, value in given.items()}
    _copy(layer, {})  # what can't be copied is refused at once

    def at(inputs: Arrays) -> Any:
        """A copy of the layer, with `inputs` for parameters: these very arrays, so that a write to them is seen."""
        # deepcopy puts them wherever the layer holds the array that it calls a parameter: layer.W beside params["W"].
        instead = {id(value): inputs[name] for name, value in given.items()} | _as_views(layer, given, inputs)
        buffers = getattr(layer, "grads", None)
        if isinstance(buffers, Mapping):  # gradients that are written into are of their parameters' dtype
            reused = {k: g for k, g in buffers.items() if k in given and isinstance(g, np.ndarray)}
            cast = {name: g.astype(inputs[name].dtype) for name, g in reused.items()}
            instead |= {id(g): cast[name] for name, g in reused.items()} | _as_views(layer, reused, cast)
        own = _copy(layer, instead)
        for name in given:
            if own.params[name] is not inputs[name]:
                _write(own, name, inputs[name])
        return own

    def passes(own: Any, inputs: Arrays) -> tuple[Array, Pullback]:
        def shown() -> None:
            """A parameter that now is another array counts as changed, like one that was written to."""
            for name in given:
                give_back(inputs[name], own.params[name])

        y = own.forward(inputs["x"])
        shown()

        def pullback(dy: Array) -> Arrays:
            dx = own.backward(dy)
            shown()
            grads = getattr(own, "grads", None)
            returned = {"x": dx} | ({k: grads[k] for k in given if k in grads} if isinstance(grads, Mapping) else {})
            return {name: _kept(gradient, inputs[name]) for name, gradient in returned.items()}

        return y, pullback

    def vjp(inputs: Arrays) -> tuple[Array, Pullback]:
        return passes(at(inputs), inputs)

    def vjp_after(earlier: Arrays, inputs: Arrays, dy: Array) -> tuple[Array, Pullback]:
        own = at(earlier)
        passes(own, earlier)[1](dy)
        for name in given:
            own.params[name][...] = inputs[name]  # as an optimiser does
        return passes(own, inputs)

    code = made("layer", layer, type(layer).__module__) + "".join(
        f"layer.params[{name!r}][...] = {literal(value)}\n" for name, value in parameters.items()
    )
    if said := options(analytic=(analytic, False), at_kink=(at_kink, "any"), batch=(batch, "independent")):
        code += f"from mlp_scratch.testing import from_object\nlayer = from_object(layer{said})\n"
    return Function(
        type(layer).__name__,
        vjp,
        parameters,
        analytic=analytic,
        at_kink=at_kink,
        batch=batch,
        vjp_after=vjp_after,
        code=code,
    )


def _arrays_by_name(params: Any) -> Arrays:
    if not isinstance(params, Mapping):
        raise ArgumentTypeError("params", given=checks.describe(params), expected="a dict of arrays by name")
    for name, value in params.items():
        if not hasattr(value, "__array__") or isinstance(value, np.generic):
            given, expected = f"{checks.describe(value)} for {name!r}", "an array, whose numbers a check can replace"
            raise ArgumentTypeError("params", given=given, expected=expected, mend="wrap it in np.array")
    for (first, one), (second, other) in combinations(params.items(), 2):
        both = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
        if one is other or (both and np.shares_memory(one, other)):
            given, expected = f"the same numbers under two names, {first!r} and {second!r}", "each under one name"
            raise ArgumentError("params", given=given, expected=expected, mend="leave out one: its gradient is the sum")
    return dict(params)


def _as_views(layer: Any, arrays: Arrays, values: Arrays) -> dict[int, Array]:
    """What stands for `arrays` that share their memory: views of a copy of it, which hold `values`.

    Of one vector, say, of which all parameters are parts. What else the layer itself holds of it becomes a view too.
    """
    held = [value for value in getattr(layer, "__dict__", {}).values() if isinstance(value, np.ndarray)]
    instead: dict[int, Array] = {}
    for owner in {id(owner): owner for owner in map(_owner, arrays.values())}.values():
        own = {name: array for name, array in arrays.items() if _owner(array) is owner}
        alike = [a for a in (*own.values(), *held, owner) if _owner(a) is owner and a.dtype == owner.dtype]
        if len({id(array) for array in alike}) == 1:
            continue
        dtype = np.result_type(*(values[name] for name in own))
        memory = owner.ravel(order="K").astype(dtype)
        instead |= {id(array): _view(array, owner, memory) for array in alike}
        for name, array in own.items():
            if id(array) in instead:
                instead[id(array)][...] = values[name]
                instead[id(array)].flags.writeable = values[name].flags.writeable
    return instead


def _owner(array: Any) -> Any:
    """The array whose memory it is a part of."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _view(array: Array, owner: Array, memory: Array) -> Array:
    """The part of `memory` that `array` is of the memory of `owner`, whose numbers are of another size maybe."""
    old, new = owner.itemsize, memory.itemsize
    offset = (array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]) // old * new
    strides = tuple(stride // old * new for stride in array.strides)
    return np.ndarray(array.shape, memory.dtype, memory, offset, strides)


def _copy(layer: Any, instead: dict[int, Any]) -> Any:
    """A deep copy, with other objects in place of those with these ids."""
    try:
        return deepcopy(layer, instead)
    except Exception as error:  # a class may say itself how it is copied, and raise anything
        given = f"{checks.describe(layer)} with no deep copy ({' '.join(str(error).split())})"
        mend = "define __deepcopy__, or pass a mlp_scratch.testing.Function"
        raise ArgumentTypeError("layer", given=given, expected="one that copy.deepcopy can copy", mend=mend) from error


def _kept(gradient: Any, like: Array) -> Any:
    """A copy: the layer may write its next gradient into the same array. One of no numbers is of any dtype."""
    own = copy(gradient)
    return own.astype(like.dtype) if isinstance(own, np.ndarray) and own.size == 0 else own


def _write(own: Any, name: str, value: Array) -> None:
    """Write `value` into an array that stands for another each time it is asked for: a view of all parameters, say."""
    as_wide = (value.dtype, np.result_type(value, np.complex64))  # beside a complex one in one vector it is complex too
    if own.params[name].dtype == value.dtype and not np.array_equal(own.params[name], value, equal_nan=True):
        own.params[name][...] = value
    if own.params[name].dtype not in as_wide or not np.array_equal(own.params[name], value, equal_nan=True):
        raise ArgumentError(
            "params",
            given=f"an array for {name!r} that can't be replaced by one of {value.dtype}",
            expected="the array that forward reads",
            mend="keep it in a dict, layer.params, or as an attribute that params returns",
        )
