"""From what people call a layer to a `Function`: one small adapter for each way of writing one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentTypeError
from mlp_scratch.layers import BatchNorm, Context, Dropout, Layer, ScalarActivation
from mlp_scratch.testing.failure import literal, options
from mlp_scratch.testing.function import Arrays, AtKink, BatchRule, Function, Pullback, give_back, numbers
from mlp_scratch.testing.objects import from_object as from_object


def as_function(thing: object) -> Function:
    """The `Function` of anything the checks take: itself, a layer of this package, or an object with both passes.

    Raises:
        ArgumentTypeError: for anything else.
    """
    if isinstance(thing, Function):
        return thing
    if isinstance(thing, Layer):
        return from_engine(thing)
    return from_object(thing)


def from_engine(layer: Layer, parameters: Arrays | None = None, *, training: bool = True, seed: int = 0) -> Function:
    """A layer of this package, at `parameters`, or at random ones.

    Args:
        layer: bound to its width, where its parameters depend on it.
        parameters: by name; None draws numbers that are neither 0 nor 1.
        training: whether dropout drops and batch normalisation takes the batch's statistics.
        seed: of dropout's mask.
    """
    rng = np.random.default_rng(0)
    values = parameters or {k: rng.normal(0.3, 0.5, shape) for k, shape in layer.parameter_shapes().items()}
    buffers = {k: rng.uniform(0.5, 2.0, np.shape(v)) for k, v in layer.initial_buffers().items()}

    def vjp(inputs: Arrays) -> tuple[Array, Pullback]:
        dtype = inputs["x"].real.dtype
        context = Context(training, seed, 1, 0, {k: v.astype(dtype) for k, v in buffers.items()})
        own = {name: inputs[name] for name in values}
        y, cache = layer.forward(own, inputs["x"], context)

        def pullback(dy: Array) -> Arrays:
            dx, grads = layer.backward(own, cache, dy)
            return {"x": dx, **grads}

        return y, pullback

    def pieces(inputs: Arrays) -> list[Array]:
        piece = layer.pieces({name: inputs[name] for name in values}, inputs["x"])
        return [] if piece is None else [piece]

    def inference(inputs: Arrays) -> Array:
        return layer.forward({name: inputs[name] for name in values}, inputs["x"], Context(buffers=buffers))[0]

    batch: BatchRule = "independent"
    if training and type(layer) is Dropout:
        batch = "positional"
    elif training and type(layer) is BatchNorm and layer.trainable:
        batch = "coupled"
    # Functions of a user's own may have kinks that they don't declare, and any slope at those that they do.
    theirs = isinstance(layer, ScalarActivation)
    declared = not (isinstance(layer, ScalarActivation) and not layer.kinks)
    given = ", ".join(f"{name!r}: {literal(value)}" for name, value in values.items())
    code = (
        f"from mlp_scratch.layers import {type(layer).__name__}\n"
        "from mlp_scratch.testing import from_engine\n"
        f"layer = from_engine({layer!r}, {{{given}}}, training={training}, seed={seed})\n"
    )
    return Function(
        repr(layer),
        vjp,
        values,
        analytic=layer.analytic,
        pieces=pieces if declared else None,
        at_kink="any" if theirs else "mean",
        batch=batch,
        expectation=inference if batch == "positional" else None,
        code=code,
    )


def from_torch(
    function: Callable[..., Any], *, at_kink: AtKink = "any", batch: BatchRule = "independent", **parameters: Any
) -> Function:
    """A PyTorch function y = f(x, *parameters): a `torch.autograd.Function`'s `apply`, or any other.

    Args:
        function: takes x and the parameters as tensors, in the order given here.
        at_kink: as for `from_object`.
        batch: the same.
        parameters: their values, by name, as arrays, tensors or numbers.

    Raises:
        ArgumentTypeError: for a function that doesn't return one tensor.
    """
    import torch  # an optional package, and a slow import

    names, values = ["x", *parameters], {name: numbers(name, value) for name, value in parameters.items()}

    def of(*tensors: Any) -> Any:
        y = function(*tensors)
        if not isinstance(y, torch.Tensor):
            raise ArgumentTypeError("function", given=checks.describe(y), expected="a function that returns one tensor")
        return y

    def vjp(inputs: Arrays) -> tuple[Array, Pullback]:
        tensors = {name: torch.from_numpy(np.array(inputs[name])).requires_grad_() for name in names}
        y = of(*tensors.values())

        def shown() -> None:
            for name, tensor in tensors.items():
                give_back(inputs[name], tensor.detach().numpy())

        shown()

        def pullback(dy: Array) -> Arrays:
            if not y.requires_grad:  # it depends on none of them
                return {name: np.zeros_like(inputs[name]) for name in names}
            u = torch.from_numpy(np.array(dy))
            grads = torch.autograd.grad(y, list(tensors.values()), u, retain_graph=True, allow_unused=True)
            give_back(dy, u.numpy())
            shown()
            return {
                name: np.zeros_like(inputs[name]) if g is None else g.numpy().copy()
                for name, g in zip(names, grads, strict=True)
            }

        return y.detach().numpy(), pullback

    def value(inputs: Arrays) -> Array:
        with torch.no_grad():
            y: Array = of(*(torch.from_numpy(np.array(inputs[name])) for name in names)).numpy()
        return y

    code = _wrapped("from_torch", function, values, at_kink, batch)
    return Function(_called(function), vjp, values, at_kink=at_kink, batch=batch, value=value, code=code)


def from_jax(
    function: Callable[..., Any], *, at_kink: AtKink = "any", batch: BatchRule = "independent", **parameters: Any
) -> Function:
    """A JAX function y = f(x, *parameters), with a `custom_vjp` or without, in float64 where the arrays are.

    Args:
        function: takes x and the parameters as arrays, in the order given here.
        at_kink: as for `from_object`.
        batch: the same.
        parameters: their values, by name.

    Raises:
        ArgumentTypeError: for a function that doesn't return one array in the precision of its inputs.
    """
    import jax  # an optional package, and a slow import

    names, values = ["x", *parameters], {name: numbers(name, value) for name, value in parameters.items()}

    def compiled(called: Callable[..., Any]) -> Callable[..., Any]:
        quick: Callable[..., Any] = jax.jit(called)  # the checks call it some hundred times at each shape

        def on_arrays(inputs: Arrays, *dy: Array) -> Any:
            nonlocal quick
            with jax.enable_x64(_double(inputs)):
                arguments = [jax.numpy.asarray(a) for a in (*inputs.values(), *dy)]
                try:
                    return quick(*arguments)
                except jax.errors.JAXTypeError:  # an `if` of Python's, say, which asks for a number
                    quick = called
                    return quick(*arguments)

        return on_arrays

    plain = compiled(function)
    in_training = compiled(lambda *arguments: jax.vjp(function, *arguments)[0])  # what the custom rule says y is
    pulled = compiled(lambda *arguments: jax.vjp(function, *arguments[:-1])[1](arguments[-1]))

    def of(called: Callable[..., Any], inputs: Arrays) -> Array:
        y = called({name: inputs[name] for name in names})
        if not isinstance(y, jax.Array):
            raise ArgumentTypeError("function", given=checks.describe(y), expected="a function that returns one array")
        if _double(inputs) and y.dtype != np.float64:
            given, expected = f"y of dtype {y.dtype} for inputs of float64", "a function that keeps their dtype"
            raise ArgumentTypeError("function", given=given, expected=expected)
        return np.asarray(y)

    def value(inputs: Arrays) -> Array:
        return of(plain, inputs)

    def vjp(inputs: Arrays) -> tuple[Array, Pullback]:
        y = of(in_training, inputs)

        def pullback(dy: Array) -> Arrays:
            grads = pulled({name: inputs[name] for name in names}, dy)
            return {name: np.asarray(g) for name, g in zip(names, grads, strict=True)}

        return y, pullback

    code = _wrapped("from_jax", function, values, at_kink, batch)
    return Function(_called(function), vjp, values, at_kink=at_kink, batch=batch, value=value, code=code)


def _double(inputs: Arrays) -> bool:
    return any(value.dtype == np.float64 for value in inputs.values())


def _called(function: object) -> str:
    owner = getattr(function, "__self__", None)  # F.apply is a method of the class F
    return str(getattr(owner, "__name__", None) or getattr(function, "__name__", type(function).__name__))


def _wrapped(adapter: str, function: object, parameters: Arrays, at_kink: AtKink, batch: BatchRule) -> str:
    own = getattr(function, "__self__", None) is not None  # F.apply
    given = "".join(f", {name}={literal(value)}" for name, value in parameters.items())
    given += options(at_kink=(at_kink, "any"), batch=(batch, "independent"))
    name = _called(function) + (".apply" if own else "")
    return f"from mlp_scratch.testing import {adapter}\nlayer = {adapter}({name}{given})"
