"""Right layers with kinks, steep ones and ones near the edge of their domain pass; wrong ones there do not."""

import numpy as np
import pytest

from mlp_scratch.testing import PropertyError, check_layer, from_object
from tests.testing.elementwise import Elementwise


class Hidden:
    """relu(x W1 + b1) W2, with biases of 0."""

    def __init__(self, seed, factor=1.0):
        rng = np.random.default_rng(seed)
        self.params = {"W1": rng.normal(size=(3, 16)), "b1": np.zeros(16), "W2": rng.normal(size=(16, 2))}
        self.factor = factor

    def forward(self, x):
        self.x, self.z = x, x @ self.params["W1"] + self.params["b1"]
        self.a = np.maximum(self.z, 0)
        return self.a @ self.params["W2"]

    def backward(self, dy):
        dz = dy @ self.params["W2"].T * (self.z > 0)
        self.grads = {"W1": self.x.T @ dz, "b1": dz.sum(axis=0), "W2": self.a.T @ dy}
        return dz @ self.params["W1"].T * dy.dtype.type(self.factor)


class Projection:
    """relu(x W)."""

    def __init__(self):
        self.params = {"W": np.random.default_rng(0).normal(size=(3, 4))}

    def forward(self, x):
        self.x, self.z = x, x @ self.params["W"]
        return np.maximum(self.z, 0)

    def backward(self, dy):
        dz = dy * (self.z > 0)
        self.grads = {"W": self.x.T @ dz}
        return dz @ self.params["W"].T


class Largest:
    """The largest of each row; among equal ones the first counts, or wrongly all do."""

    def __init__(self, *, all_count=False):
        self.all_count = all_count

    def forward(self, x):
        self.chosen = x == x.max(axis=1, keepdims=True)
        if not self.all_count:
            self.chosen = np.eye(x.shape[1], dtype=bool)[x.argmax(axis=1)]
        return x.max(axis=1, keepdims=True)

    def backward(self, dy):
        return dy * self.chosen


class Normalised:
    """(x - mean) / √(variance + eps)."""

    def __init__(self, eps):
        self.eps = eps

    def forward(self, x):
        centred = x - x.mean(axis=1, keepdims=True)
        self.sigma = np.sqrt((centred**2).mean(axis=1, keepdims=True) + self.eps)
        self.x_hat = centred / self.sigma
        return self.x_hat

    def backward(self, dy):
        along = self.x_hat * (dy * self.x_hat).mean(axis=1, keepdims=True)
        return (dy - dy.mean(axis=1, keepdims=True) - along) / self.sigma


class ZeroBias:
    """x + b with many biases of 0, and a gradient that forgets the last."""

    def __init__(self, n, *, forgets=False):
        self.params, self.forgets = {"b": np.zeros(n)}, forgets

    def forward(self, x):
        return x + self.params["b"]

    def backward(self, dy):
        db = dy.sum(axis=0)
        if self.forgets:
            db[-1] = 0
        self.grads = {"b": db}
        return dy


def relu_at(corner, factor=1.0):
    return Elementwise(lambda x: np.maximum(x - corner, 0), lambda x: factor * (x > corner))


ONLY = ["derivative", "adjoint", "hessian_symmetry"]


def fails(layer, x):
    with pytest.raises(PropertyError) as caught:
        check_layer(layer, x, only=ONLY)
    return caught.value


@pytest.mark.parametrize("sign", [1, -1])
def test_a_kink_at_any_distance_is_stepped_around(sign):
    for distance in np.logspace(-7, -1.9, 60):
        check_layer(relu_at(0.5 + sign * distance), [[0.5]], only=ONLY)
    for distance in np.logspace(-7, -1.9, 12):
        if sign < 0:
            fails(relu_at(0.5 - distance, 1.5), [[0.5]])


def test_hidden_units_with_kinks_all_around_pass():
    for seed in range(8):
        x = np.random.default_rng(seed).normal(size=(4, 3))
        check_layer(Hidden(seed), x, only=ONLY)


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("x", [[[1.0, 1.0]], [[-1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]])
def test_several_elements_may_lie_on_kinks_elsewhere_than_at_0(x, inclusive):
    inside = (lambda x: (x >= -1) & (x <= 1)) if inclusive else (lambda x: (x > -1) & (x < 1))
    assert check_layer(Elementwise(lambda x: np.clip(x, -1, 1), inside), x, only=ONLY).kinks > 0
    fails(Elementwise(lambda x: np.clip(x, -1, 1), lambda x: 1.5 * inside(x)), [[1.0, 0.5]])


def test_outputs_at_kinks_choose_each_for_themselves():
    check_layer(Projection(), [[0.0, 0.0, 0.0]])


def test_behind_a_mixing_layer_a_kink_is_left():
    """Each hidden unit chooses its side, and their sum lies outside of both slopes."""
    for seed in range(4):
        check_layer(Hidden(seed), [[0.0, 0.0, 0.0]], only=ONLY)
        fails(Hidden(seed, 1.5), [[0.0, 0.0, 0.0], [1.0, 0.5, -1.0]])


def test_of_equal_elements_one_counts():
    check_layer(Largest(), [[1.0, 1.0, 0.5]], only=ONLY)
    fails(Largest(all_count=True), [[1.0, 1.0, 0.5]])


def test_a_side_that_is_required_is_that_of_every_element():
    clip, at_corner = lambda x: np.clip(x, -1, 1), lambda x: (x > -1) & (x <= 1)
    check_layer(from_object(Elementwise(clip, at_corner), at_kink="left"), [[1.0, 1.0]], only=ONLY)
    with pytest.raises(PropertyError):
        check_layer(from_object(Elementwise(clip, at_corner), at_kink="right"), [[1.0, 1.0]], only=ONLY)


def test_biases_of_0_are_moved():
    x = np.random.default_rng(0).normal(size=(4, 256))
    check_layer(ZeroBias(256), x, only=ONLY)
    fails(ZeroBias(256, forgets=True), x)


STEEP = {
    "log": (np.log, lambda x: 1 / x, 0.001),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x), 0.001),
    "arcsin": (np.arcsin, lambda x: 1 / np.sqrt(1 - x**2), 0.9999),
    "x log x": (lambda x: x * np.log(x), lambda x: np.log(x) + 1, 0.004),
    "logit": (lambda x: np.log(x / (1 - x)), lambda x: 1 / x / (1 - x), 0.999),
    "square of a large number": (lambda x: x**2, lambda x: 2 * x, 1e12),
    "sine of an inverse": (lambda x: np.sin(1 / x), lambda x: -np.cos(1 / x) / x**2, 0.013),
    "sine of 1000 x": (lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x), 0.3),
    "sine of 4000 x": (lambda x: np.sin(4000 * x), lambda x: 4000 * np.cos(4000 * x), 0.3),
    "a narrow bell": (lambda x: np.exp(-((x * 1e3) ** 2)), lambda x: -2e6 * x * np.exp(-((x * 1e3) ** 2)), 5e-4),
    "a steep tanh": (lambda x: np.tanh(1e4 * x), lambda x: 1e4 * (1 - np.tanh(1e4 * x) ** 2), 1e-4),
}


@pytest.mark.parametrize("name", STEEP)
def test_steep_functions_are_resolved(name):
    f, df, at = STEEP[name]
    assert check_layer(Elementwise(f, df), [[at]], only=ONLY).unresolved == 0
    assert fails(Elementwise(f, lambda x: 1.005 * df(x)), [[at]]).property == "derivative"


@pytest.mark.parametrize("eps", [1e-5, 1e-8, 1e-10, 1e-12])
def test_a_normalisation_of_equal_numbers_is_steep_and_right(eps):
    for x in ([[0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0], [2.0, -0.5, 0.25]], [[0.1, 0.1, 0.1]]):
        check_layer(Normalised(eps), x, only=ONLY)


@pytest.mark.parametrize("f", [np.floor, np.sign, lambda x: (x > 0).astype(x.dtype)])
def test_a_gradient_of_zero_is_right_beside_a_jump(f):
    for x in ([[0.0]], [[0.0, 1.0, 0.5]]):
        check_layer(Elementwise(f, lambda x: 0 * x), x, only=ONLY)


def test_a_dead_unit_and_a_saturated_one_pass():
    check_layer(relu_at(10.0), [[0.5, 1.0]], only=ONLY)
    check_layer(Elementwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2), [[40.0, -500.0]], only=ONLY)


def test_small_values_may_be_what_is_left_of_large_ones():
    """Of 1 + tanh(25 x) small steps change nothing but by a rounding of 1."""
    saturating = Elementwise(lambda x: 1 + np.tanh(25 * x), lambda x: 25 * (1 - np.tanh(25 * x) ** 2))
    for x in np.arange(-64, 65) / 16:
        check_layer(saturating, [[x, 0.25]], only=ONLY)

    def sigmoid(x):
        return 0.5 * (1 + np.tanh(0.5 * x))

    swish = Elementwise(lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))))
    for x in np.arange(-72, 1) / 2:
        check_layer(swish, [[x, 0.25]], only=["derivative", "adjoint"])


def test_a_check_that_tells_nothing_says_so():
    wild = Elementwise(lambda x: np.sin(1e15 * x), lambda x: 1e15 * np.cos(1e15 * x))
    with pytest.raises(PropertyError, match="nothing, at any element"):
        check_layer(wild, [[0.3]], only=["derivative"])


def test_unresolved_is_measured_by_the_gradients_own_size():
    class Offset:
        def __init__(self):
            self.params = {"b": np.array([1.0])}

        def forward(self, x):
            return x + self.params["b"]

        def backward(self, dy):
            self.grads = {"b": dy.sum(axis=0)}
            return dy

    assert check_layer(Offset(), [[1e16]], only=["derivative"]).unresolved == 1

    class Doubled(Offset):
        def backward(self, dy):
            return 1.5 * super().backward(dy)

    fails(Doubled(), [[1e16]])
