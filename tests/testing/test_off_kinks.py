"""Right layers pass where roundings decide on which side of a kink they are; those that are wrong there do not."""

import numpy as np
import pytest

from mlp_scratch.testing import Function, PropertyError, check_layer, from_torch

CORNER = [[2.8125, 3.3125]]
"""0.6 · 2.8125 - 0.6 · 3.3125 + 0.3 = 0"""


class DenseReLU:
    """relu(x W + b)."""

    def __init__(self, W, b):
        self.params, self.grads = {"W": np.array(W), "b": np.array(b)}, {}

    def forward(self, x):
        self.x, self.z = x, x @ self.params["W"] + self.params["b"]
        return np.maximum(self.z, 0)

    def backward(self, dy):
        dz = dy * (self.z > 0)
        self.grads = {"W": self.x.T @ dz, "b": dz.sum(axis=0)}
        return dz @ self.params["W"].T


class WrongInSinglePrecision(DenseReLU):
    def backward(self, dy):
        return super().backward(dy) * dy.dtype.type(1.01 if dy.dtype == np.float32 else 1.0)


class ReadsMemoryOrder(DenseReLU):
    def backward(self, dy):
        return super().backward(dy.ravel(order="K").reshape(dy.shape))


def at_corner(layer):
    return layer([[0.6, 0.5], [-0.6, 0.25]], [0.3, -0.1])


def test_float32_may_be_on_another_side():
    check_layer(DenseReLU([[0.6], [-0.6]], [0.3]), CORNER)
    check_layer(at_corner(DenseReLU), [*CORNER, [0.5, 1.0]])


@pytest.mark.parametrize("seed", range(12))
def test_short_numbers_that_meet_kinks_pass(seed):
    rng = np.random.default_rng(seed)
    layer = DenseReLU(rng.integers(-8, 9, (2, 3)) / 10, rng.integers(-8, 9, 3) / 10)
    check_layer(layer, rng.integers(-8, 9, (3, 2)) / 16)


def test_another_layout_may_be_on_another_side():
    torch = pytest.importorskip("torch")
    W, b = np.array([[1, -0.5, 0.25], [0.3, 0.7, -1.1]]), np.array([0.1, -0.2])
    layer = from_torch(lambda x, W, b: torch.relu(torch.nn.functional.linear(x, W, b)), W=W, b=b)
    check_layer(layer, [[-0.125, -0.025, 0.05], [0.125, 0, -0.05], [-0.075, 0.075, 0.175]])


@pytest.mark.parametrize(("lie", "name"), [(WrongInSinglePrecision, "single_precision"), (ReadsMemoryOrder, "layout")])
def test_what_is_wrong_beside_the_kink_as_well_is_named(lie, name):
    with pytest.raises(PropertyError) as caught:
        check_layer(at_corner(lie), [*CORNER, [0.5, 1.0]], only=[name])
    assert caught.value.property == name


def test_where_there_is_no_kink_no_other_point_counts():
    """A backward that is wrong at one point alone, and in float32 alone."""

    def vjp(inputs):
        x = inputs["x"]
        wrong = x.dtype == np.float32 and x[0, 0] == 0.5
        return x * x, lambda dy: {"x": 2 * x * dy * x.dtype.type(2 if wrong else 1)}

    with pytest.raises(PropertyError, match="float32 gives float64's numbers"):
        check_layer(Function("square", vjp), [[0.5, 1.0]], only=["single_precision"])


def test_the_edge_of_a_domain_is_no_kink():
    """Beside 0 the logarithm is not finite on one side, and float32's gradient there is wrong."""

    def vjp(inputs):
        x = inputs["x"]
        return np.log(x), lambda dy: {"x": dy / x * x.dtype.type(1.01 if x.dtype == np.float32 else 1)}

    with np.errstate(invalid="ignore"), pytest.raises(PropertyError, match="float32 gives float64's numbers"):
        check_layer(Function("log", vjp), [[1e-4]], only=["single_precision"])
