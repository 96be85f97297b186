"""At confident logits right losses and layers pass, whose numbers are roundings of 1 there; wrong ones do not."""

import numpy as np
import pytest

from mlp_scratch.losses import BinaryCrossEntropy, CrossEntropy
from mlp_scratch.testing import PropertyError, check_layer, check_loss

CONFIDENT = np.arange(10.0, 60.0, 1.5)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Softmax:
    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, x):
        self.y = softmax(x)
        return self.y

    def backward(self, dy):
        return self.y * (dy - (dy * self.y).sum(axis=1, keepdims=True)) * dy.dtype.type(self.factor)


class Softplus:
    def forward(self, x):
        self.x = x
        return np.log(1 + np.exp(x))

    def backward(self, dy):
        return dy / (1 + np.exp(-self.x))


class Clipping(Softmax):
    def backward(self, dy):
        return np.clip(super().backward(dy), -1e-4, 1e-4)


class Curl(Softmax):
    """The gradient of nothing, and close to 0."""

    def backward(self, dy):
        return dy * 1e-9 * self.y[:, ::-1] ** 2


class Doubled:
    """A loss with twice its gradient."""

    def __init__(self, loss):
        self.loss = loss

    def value(self, z, t):
        return self.loss.value(z, t)

    def gradient(self, z, t):
        return 2 * self.loss.gradient(z, t)


@pytest.mark.parametrize("z", CONFIDENT)
def test_right_losses_and_layers_pass(z):
    check_loss(CrossEntropy(), np.array([[0.0, z]]), np.array([1]))
    check_loss(CrossEntropy(), np.array([[0.0, z, 0.3], [1.0, -z, 2.0]]), np.array([1, 2]))
    check_loss(BinaryCrossEntropy(), np.array([[z]]), [1])
    check_loss(BinaryCrossEntropy(), np.array([[z], [-z], [0.5]]), [1, 0, 1])
    check_layer(Softmax(), [[0.0, z]])
    check_layer(Softmax(), [[0.0, z, 1.0], [z + 0.5, 0.25, -z]])
    check_layer(Softplus(), [[-z, 0.5]])


@pytest.mark.parametrize("x", [-37.0, -38.0, -50.0])
def test_where_forward_stands_still_nothing_is_compared(x):
    assert check_layer(Softplus(), [[x]]).unresolved == 2


@pytest.mark.parametrize("z", [0.5, 10.0, 20.0, 25.0])
def test_wrong_ones_do_not_pass(z):
    for loss, logits, t in (
        (CrossEntropy(), np.array([[0.0, z]]), np.array([1])),
        (BinaryCrossEntropy(), np.array([[z]]), np.array([[1.0]])),
    ):
        with pytest.raises(PropertyError):
            check_loss(Doubled(loss), logits, t, only=["gradient_is_derivative"])
    with pytest.raises(PropertyError):
        check_layer(Softmax(1.5), [[0.0, z]], only=["derivative"])


def test_clipping_and_curl_are_seen_beside_confident_samples():
    for lie, name in ((Clipping(), "linearity"), (Curl(), "hessian_symmetry")):
        with pytest.raises(PropertyError) as caught:
            check_layer(lie, [[0.0, 5.0], [30.0, 0.5]], only=[name])
        assert caught.value.property == name
