"""What a check is given by mistake is named, before any property is looked at; what a layer forgets is, too."""

from threading import Lock

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
from tests.refusals import assert_refused

X, SAME = [[1.0, -2.0]], np.ones(2)


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


class HoldsALock(Scale):
    def __init__(self):
        super().__init__()
        self.lock = Lock()


class Returns(Scale):
    """What it is told to, from forward or backward."""

    def __init__(self, y=None, dx=None, grads=None):
        super().__init__()
        self.y, self.dx, self.given = y, dx, grads

    def forward(self, x):
        y = super().forward(x)
        return y if self.y is None else self.y(y)

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads = self.grads if self.given is None else self.given(self.grads)
        return dx if self.dx is None else self.dx(dx)


REFUSED = {
    "a NaN in x": (lambda: check_layer(Scale(), [[1.0, np.nan]]), ArgumentError,
        r"x: got nan at position \(0, 1\), expected finite numbers that fit float64; .*"),
    "no x": (lambda: check_layer(Scale(), None), ArgumentTypeError,
        r"x: got None \(NoneType\), expected an array of numbers"),
    "adapting what is no layer": (lambda: from_object(3), ArgumentTypeError,
        r"layer: got 3 \(int\), expected an object with forward and backward; wrap a torch\.autograd\.F.*"),
    "parameters without names": (lambda: from_object(Scale([np.ones(2)])), ArgumentTypeError,
        r"params: got \[array\(\[1\., 1\.\]\)\] \(list\), expected a dict of arrays by name"),
    "a list for a parameter": (lambda: from_object(Scale({"a": [0.5, 2.0]})), ArgumentTypeError,
        r"params: got \[0\.5, 2\.0\] \(list\) for 'a', expected an array, whose numbers .*; wrap it in np\.array"),
    "a number for a parameter": (lambda: from_object(Scale({"a": 2.0})), ArgumentTypeError,
        r"params: got 2\.0 \(float\) for 'a', expected an array, whose numbers a check .*; wrap it in np\.array"),
    "a scalar for a parameter": (lambda: from_object(Scale({"a": np.float64(2.0)})), ArgumentTypeError,
        r"params: got np\.float64\(2\.0\) \(float64\) for 'a', expected an array, .*; wrap it in np\.array"),
    "a complex parameter": (lambda: from_object(Scale({"a": np.array([1j])})), ArgumentTypeError,
        r"a: got dtype complex128, expected a float or integer dtype"),
    "a parameter named x": (lambda: from_object(Scale({"x": np.ones(2)})), ArgumentError,
        r"parameters: got one named 'x', expected another name: x is the input; rename it"),
    "no copy": (lambda: from_object(HoldsALock()), ArgumentTypeError,
        r"layer: got <.*HoldsALock .* \(HoldsALock\) with no deep copy \(.*lock.*\), expected one that .*; define .*"),
    "a number for x": (lambda: check_layer(Scale(), 1.0), ArgumentError,
        r"x: got the number 1\.0, expected an array with an axis of samples; one sample .* is \[\[1\.0\]\]"),
    "an x of no numbers": (lambda: check_layer(Scale(), np.zeros((0, 2))), ArgumentError,
        r"x: got shape \(0, 2\), expected at least one number; of none nothing can be checked"),
    "no reference": (lambda: check_layer(Scale(), X, reference=3), ArgumentTypeError,
        r"reference: got 3 \(int\), expected an object with forward and backward; or what from_torch or .*"),
    "a number for properties": (lambda: check_layer(Scale(), X, only=3), ArgumentTypeError,
        r"only: got 3 \(int\), expected a list of names"),
    "None to leave out": (lambda: check_layer(Scale(), X, skip=None), ArgumentTypeError,
        r"skip: got None \(NoneType\), expected a list of names"),
    "one array under two names": (lambda: from_object(Scale({"a": SAME, "b": SAME})), ArgumentError,
        r"params: got the same numbers under two names, 'a' and 'b', expected each under one name; leave out one: .*"),
    "a part under another name": (lambda: from_object(Scale({"a": SAME, "b": SAME[:1]})), ArgumentError,
        r"params: got the same numbers under two names, 'a' and 'b', .*"),
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
    assert_refused(*REFUSED[mistake])


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


WRONG = {
    "a list": (Returns(y=lambda y: y.tolist()), "forward returns one array of numbers"),
    "y and a cache": (Returns(y=lambda y: (y, y)), "forward returns one array of numbers"),
    "words": (Returns(y=lambda y: np.array(["a", "b"])), "forward returns one array of numbers"),
    "a NaN": (Returns(y=lambda y: y * np.nan), "forward returns finite numbers"),
    "float32": (Returns(y=lambda y: y.astype(np.float32)), "float64 in gives float64 out"),
    "an infinity": (Returns(y=lambda y: y + np.inf), "forward returns finite numbers"),
    "dx and more": (Returns(dx=lambda dx: (dx, dx)), "a gradient is one array of numbers"),
    "no grads": (Returns(grads=lambda grads: None), "backward returns no gradient of an input"),
    "a gradient that is None": (Returns(grads=lambda grads: {"a": None}), "backward returns no gradient of an input"),
    "grads without names": (Returns(grads=lambda grads: [grads]), "backward returns no gradient of an input"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("only", [None, ["derivative"]])
def test_what_passes_return_by_mistake_is_named(name, only):
    layer, claim = WRONG[name]
    with pytest.raises(PropertyError) as caught:
        check_layer(layer, X, only=only)
    assert caught.value.claim == claim
    assert caught.value.property in ("shapes", "finite", "double_precision")
    assert caught.value.code.endswith("check_layer(layer, np.array([[1.0, -2.0]]))")


@pytest.mark.parametrize("adapter", [from_torch, from_jax])
@pytest.mark.parametrize("name", ["x", "batch", "at_kink"])
def test_names_that_parameters_cannot_have(adapter, name):
    pytest.importorskip(adapter.__name__.removeprefix("from_"))
    with pytest.raises(ArgumentError, match=r"rename it|call a parameter of that name something else"):
        adapter(lambda x, a: x * a, **{name: np.ones(2)})


def test_a_torch_function_returns_one_tensor():
    pytest.importorskip("torch")
    with pytest.raises(
        ArgumentTypeError, match=r"^function: got .*\(tuple\), expected a function that returns one tensor"
    ):
        check_layer(from_torch(lambda x: (x, x)), X)


def test_the_layer_of_the_tests_is_right():
    check_layer(Scale(), X, skip=["single_precision"])
