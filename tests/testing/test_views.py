"""Layers whose parameters are parts of one vector, which the passes read as a whole: right ones and wrong ones."""

import numpy as np
import pytest

from mlp_scratch.testing import PropertyError, check_layer, from_object

X = [[1.0, -2.0, 0.5], [0.3, 0.2, -0.1]]


class Flat:
    """y = x W + b, where W and b are views of one vector."""

    def __init__(self):
        self.flat = np.arange(1.0, 9.0) / 7
        self.params = self.parts(self.flat)

    @staticmethod
    def parts(flat):
        return {"W": flat[:6].reshape(3, 2), "b": flat[6:]}

    def forward(self, x):
        self.x, own = x, self.parts(self.flat)
        return x @ own["W"] + own["b"]

    def backward(self, dy):
        self.grads = {"W": self.x.T @ dy, "b": dy.sum(axis=0)}
        return dy @ self.parts(self.flat)["W"].T


class MadeAnew(Flat):
    """The views are made each time they are asked for."""

    def __init__(self):
        self.flat = np.arange(1.0, 9.0) / 7

    params = property(lambda self: self.parts(self.flat))


class FlatGradient(Flat):
    """The gradients are views too, and written as a whole."""

    def __init__(self):
        super().__init__()
        self.flat_gradient = np.zeros(8)
        self.grads = self.parts(self.flat_gradient)

    def backward(self, dy):
        self.flat_gradient[...] = np.concatenate([(self.x.T @ dy).ravel(), dy.sum(axis=0)])
        return dy @ self.parts(self.flat)["W"].T


class PartOfMore(Flat):
    """The vector is a part of a larger one, backwards."""

    def __init__(self):
        self.flat = (np.arange(1.0, 20.0) / 7)[16:0:-2]
        self.params = self.parts(self.flat)


class KeepsATransposed(Flat):
    """The parameter owns its numbers, and forward reads a view of them."""

    def __init__(self):
        self.params = {"W": np.arange(1.0, 7.0).reshape(3, 2)}
        self.transposed = self.params["W"].T

    def forward(self, x):
        self.x = x
        return x @ self.transposed.T

    def backward(self, dy):
        self.grads = {"W": self.x.T @ dy}
        return dy @ self.transposed


RIGHT = [Flat, MadeAnew, FlatGradient, PartOfMore, KeepsATransposed]


@pytest.mark.parametrize("layer", RIGHT)
def test_right_layers_pass(layer):
    assert check_layer(layer(), X).unresolved == 0
    check_layer(from_object(layer(), analytic=True), X, only=["derivative", "adjoint"])


@pytest.mark.parametrize("layer", [Flat, MadeAnew, FlatGradient])
def test_a_wrong_gradient_is_seen(layer):
    class Wrong(layer):
        def backward(self, dy):
            dx = super().backward(dy)
            self.grads["b"][...] *= self.grads["b"].dtype.type(1.001)
            return dx

    with pytest.raises(PropertyError) as caught:
        check_layer(Wrong(), X)
    assert caught.value.property == "derivative"
    assert caught.value.facts["of"].startswith("b[")


@pytest.mark.parametrize("layer", RIGHT[:4])
def test_a_write_to_the_vector_is_seen(layer):
    class Steps(layer):
        def backward(self, dy):
            dx = super().backward(dy)
            self.flat -= self.flat / 8
            return dx

    with pytest.raises(PropertyError) as caught:
        check_layer(Steps(), X)
    assert caught.value.property == "purity"


def test_the_layer_is_left_as_it_is():
    layer = FlatGradient()
    check_layer(layer, X)
    assert np.array_equal(layer.flat, np.arange(1.0, 9.0) / 7)
    assert not layer.flat_gradient.any()
