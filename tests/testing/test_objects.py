"""Objects with two passes as people write them: with buffers, aliases and state, right ones and wrong ones."""

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentError
from mlp_scratch.testing import PropertyError, check_layer, from_object, strategies

X = [[1.0, -2.0], [0.5, 3.0]]


class Linear:
    """y = x W + b, right."""

    def __init__(self, dtype="float64"):
        self.params = {"W": np.array([[1.5, 2.0], [-0.5, 1.0]], dtype), "b": np.array([0.25, -1.0], dtype)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dy):
        self.grads = {"W": self.x.T @ dy, "b": dy.sum(axis=0)}
        return dy @ self.params["W"].T


class WritesIntoItsGradients(Linear):
    def __init__(self):
        super().__init__()
        self.grads = {name: np.zeros_like(value) for name, value in self.params.items()}
        self.dx = None

    def backward(self, dy):
        self.grads["W"][...] = self.x.T @ dy
        self.grads["b"][...] = dy.sum(axis=0)
        self.dx = np.empty_like(dy) if self.dx is None else self.dx
        self.dx[...] = dy @ self.params["W"].T
        return self.dx


class ReadsAnAttribute(Linear):
    """W is an attribute beside params["W"]."""

    def __init__(self):
        super().__init__()
        self.W = self.params["W"]

    def forward(self, x):
        self.x = x
        return x @ self.W + self.params["b"]

    def backward(self, dy):
        super().backward(dy)
        return dy @ self.W.T


class HasProperties:
    """params and grads are made anew each time they are asked for."""

    def __init__(self):
        self.W, self.dW = np.array([[1.5, 2.0], [-0.5, 1.0]]), None

    @property
    def params(self):
        return {"W": self.W}

    @property
    def grads(self):
        return {"W": self.dW}

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


class HasAnEmptyParameter(Linear):
    def __init__(self):
        super().__init__()
        self.params["none"] = np.zeros(0)

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["none"] = np.zeros(0)
        return dx


class HasFloat32Parameters(Linear):
    """y = x tanh(W) + b."""

    def __init__(self):
        super().__init__("float32")

    def forward(self, x):
        self.x, self.tanh = x, np.tanh(self.params["W"])
        return x @ self.tanh + self.params["b"]

    def backward(self, dy):
        self.grads = {"W": self.x.T @ dy * (1 - self.tanh**2), "b": dy.sum(axis=0)}
        return dy @ self.tanh.T


class Drops:
    """Dropout from a generator of its own, which goes on with each forward pass."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        self.mask = self.rng.integers(0, 2, x.shape).astype(x.dtype) * 2
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


RIGHT = {
    "writes into its gradients": WritesIntoItsGradients(),
    "reads an attribute": ReadsAnAttribute(),
    "has properties": HasProperties(),
    "has an empty parameter": HasAnEmptyParameter(),
    "has float32 parameters": HasFloat32Parameters(),
    "has integer parameters": Linear("int64"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_layers_pass(name):
    check_layer(RIGHT[name], X)
    check_layer(RIGHT[name], strategies.batches(2, max_size=3))


def test_a_layer_with_a_generator_passes():
    check_layer(from_object(Drops(), batch="positional"), strategies.batches(2, max_size=3))


@pytest.mark.parametrize("name", ["reads an attribute", "has properties"])
def test_the_complex_step_reaches_an_attribute(name):
    check_layer(from_object(RIGHT[name], analytic=True), X, only=["derivative", "adjoint"])


def test_a_layer_is_left_as_it_is():
    layer = WritesIntoItsGradients()
    check_layer(layer, X)
    assert not layer.grads["W"].any()
    assert layer.params["W"].tolist() == Linear().params["W"].tolist()


class MakesItsParameter(HasProperties):
    """params are arrays made anew of numbers that are none."""

    def __init__(self):
        self.numbers, self.dW = [[1.5, 2.0], [-0.5, 1.0]], None

    params = property(lambda self: {"W": self.W})
    W = property(lambda self: np.array(self.numbers))


def test_a_parameter_that_cannot_be_replaced_is_named():
    for only, dtype in (["single_precision"], "float32"), (["derivative"], "float64"):
        with pytest.raises(ArgumentError, match=f"^params: .* for 'W' that can't be replaced by one of {dtype}"):
            check_layer(MakesItsParameter(), X, only=only)


class Steps(Linear):
    """Backward learns, in place."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.params["b"] -= (self.grads["b"] / 8).astype(dy.dtype)
        return dx


class StepsAnew(Linear):
    """Backward learns, by a new array."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.params["b"] = self.params["b"] - (self.grads["b"] / 8).astype(dy.dtype)
        return dx


class ClipsItsWeights(Linear):
    """Forward writes to W what stands there already, as long as it is small."""

    def forward(self, x):
        np.clip(self.params["W"], -10, 10, out=self.params["W"])
        return super().forward(x)


@pytest.mark.parametrize("lie", [Steps, StepsAnew, ClipsItsWeights])
def test_a_pass_that_writes_to_parameters_is_named(lie):
    with pytest.raises(PropertyError) as caught:
        check_layer(lie(), X)
    assert caught.value.property == "purity"


class KeepsItsFirstBatch(Linear):
    x = None

    def forward(self, x):
        y = super().forward(x) if self.x is None else x @ self.params["W"] + self.params["b"]
        assert self.x is not None
        return y


class KeepsItsFirstWeights(Linear):
    """The weights are transposed once."""

    transposed = None

    def backward(self, dy):
        super().backward(dy)
        if self.transposed is None:
            self.transposed = self.params["W"].T.copy()
        return dy @ self.transposed


@pytest.mark.parametrize("lie", [KeepsItsFirstBatch, KeepsItsFirstWeights])
@pytest.mark.parametrize("x", [[[0.5, -2.0]], [[0.0, 0.0]], strategies.batches(2, max_size=3)])
def test_what_is_cached_once_and_for_all_is_named(lie, x):
    with pytest.raises(PropertyError, match="of an earlier batch or of earlier parameters is not used") as caught:
        check_layer(lie(), x)
    assert caught.value.property == "repeatability"
