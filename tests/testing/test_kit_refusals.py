"""What a check is given by mistake is named, before any property is looked at; what a layer forgets is, too."""

import re

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from mlp_scratch.testing import (
    PropertyError,
    check_backend,
    check_layer,
    check_loss,
    check_model,
    check_optimizer,
    from_jax,
    from_object,
    from_torch,
)

X = [[1.0, -2.0]]


class Scale:
    """y = a x."""

    def __init__(self, params=None):
        self.params = {"a": np.array([0.5, 2.0])} if params is None else params
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x * self.params["a"]

    def backward(self, dy):
        self.grads = {"a": (dy * self.x).sum(axis=0)}
        return dy * self.params["a"]


class Forgets(Scale):
    def backward(self, dy):
        return dy * self.params["a"]


class HasNoGradients(Forgets):
    def __init__(self):
        super().__init__()
        del self.grads


REFUSED = {
    "a NaN in x": (lambda: check_layer(Scale(), [[1.0, np.nan]]), ArgumentError,
        r"x: got nan at position \(0, 1\), expected finite numbers that fit float64; .*"),
    "no x": (lambda: check_layer(Scale(), None), ArgumentTypeError,
        r"x: got None \(NoneType\), expected an array of numbers"),
    "adapting what is no layer": (lambda: from_object(3), ArgumentTypeError,
        r"layer: got 3 \(int\), expected an object with forward and backward; wrap a torch\.autograd\.F.*"),
    "parameters without names": (lambda: from_object(Scale([np.ones(2)])), ArgumentTypeError,
        r"params: got \[array\(\[1\., 1\.\]\)\] \(list\), expected a dict of arrays by name"),
    "unknown side": (lambda: from_object(Scale(), at_kink="up"), UnknownNameError,
        r"at_kink: got 'up', expected one of any, left, mean, right"),
    "unknown rule of batches": (lambda: from_object(Scale(), batch="couple"), UnknownNameError,
        r"batch: got 'couple', expected one of coupled, independent, positional; did you mean 'coupled'\?"),
    "no loss": (lambda: check_loss("mse", np.eye(2), np.eye(2)), ArgumentTypeError,
        r"loss: got 'mse' \(str\), expected an object with value and gradient"),
    "no optimiser": (lambda: check_optimizer("adam"), ArgumentTypeError,
        r"optimizer: got 'adam' \(str\), expected an object with slots and update; for one of this package, Adam\(\)"),
    "no problem": (lambda: check_model("mlp"), ArgumentTypeError,
        r"problem: got 'mlp' \(str\), expected a Problem or a strategy of them"),
    "no problem for a backend": (lambda: check_backend("numpy", 3), ArgumentTypeError,
        r"problem: got 3 \(int\), expected a Problem or a strategy of them"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_mistakes(mistake):
    call, kind, message = REFUSED[mistake]
    with pytest.raises(kind) as caught:
        call()
    assert re.fullmatch(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("adapter", [from_torch, from_jax])
def test_other_adapters_refuse_the_same(adapter):
    pytest.importorskip(adapter.__name__.removeprefix("from_"))
    with pytest.raises(UnknownNameError, match=r"^at_kink: got 'up'"):
        adapter(lambda x: x, at_kink="up")


@pytest.mark.parametrize("layer", [Forgets(), HasNoGradients()])
def test_a_gradient_that_backward_forgets_is_named(layer):
    with pytest.raises(PropertyError, match="backward returns no gradient of an input") as caught:
        check_layer(layer, X)
    assert caught.value.facts["input"] == "a"


def test_the_layer_of_the_tests_is_right():
    check_layer(Scale(), X, skip=["single_precision"])
