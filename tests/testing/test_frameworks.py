"""Functions of PyTorch and JAX: which values training sees, which precision, and what can't be compiled."""

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentTypeError
from mlp_scratch.testing import PropertyError, check_layer, from_jax, from_torch

X = [[1.0, 2.0]]


def custom(factor):
    """tanh, with a factor by which the y of the forward rule is another one than the function's own."""
    jax = pytest.importorskip("jax")

    @jax.custom_vjp
    def tanh(x):
        return jax.numpy.tanh(x)

    def forward(x):
        return factor * jax.numpy.tanh(x), x

    tanh.defvjp(forward, lambda x, dy: (dy * (1 - jax.numpy.tanh(x) ** 2),))
    return tanh


def test_a_rule_of_jax_whose_forward_returns_another_y_is_named():
    check_layer(from_jax(custom(1.0)), X)
    with pytest.raises(PropertyError, match="the same y with a gradient and without") as caught:
        check_layer(from_jax(custom(1.0005)), X)
    assert caught.value.property == "repeatability"
    assert caught.value.facts["with a gradient"] == pytest.approx(1.0005 * caught.value.facts["without"])


def test_a_function_of_torch_that_minds_whether_a_gradient_is_asked_for_is_named():
    torch = pytest.importorskip("torch")

    class Minds(torch.autograd.Function):
        factor = 1.0

        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2 * (Minds.factor if ctx.needs_input_grad[0] else 1.0)

        @staticmethod
        def backward(ctx, dy):
            return 2 * ctx.saved_tensors[0] * dy

    check_layer(from_torch(Minds.apply), X)
    Minds.factor = 1.0005
    with pytest.raises(PropertyError, match="the same y with a gradient and without"):
        check_layer(from_torch(Minds.apply), X)


def test_constants_of_jax_are_in_the_precision_of_the_inputs():
    jax = pytest.importorskip("jax")
    check_layer(from_jax(lambda x: x * jax.numpy.array([1.0, 2.0])), X)


def test_a_function_of_jax_may_branch_in_python():
    jax = pytest.importorskip("jax")

    def branches(x, a):
        return a * x if x.sum() > 0 else jax.numpy.tanh(x) * a

    check_layer(from_jax(branches, batch="coupled", a=np.array([0.5, 2.0])), X)
    check_layer(from_jax(branches, batch="coupled", a=np.array([0.5, 2.0])), [[-1.0, -2.0]])

    @jax.custom_vjp
    def wrong(x):
        return x * x if x.sum() > 0 else x

    wrong.defvjp(lambda x: (wrong(x), x), lambda x, dy: (2.001 * x * dy,))
    with pytest.raises(PropertyError, match=r"^derivative"):
        check_layer(from_jax(wrong), X)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: (x, x), r"^function: got .*\(tuple\), expected a function that returns one array"),
        (lambda x: x.astype("float32"), r"^function: got y of dtype float32 for inputs of float64, expected .* keeps"),
    ],
)
def test_a_function_of_jax_returns_one_array_in_the_precision_of_its_inputs(function, said):
    pytest.importorskip("jax")
    with pytest.raises(ArgumentTypeError, match=said):
        check_layer(from_jax(function), X)
