"""Layers that users write: what a check of one must not take for a fault, and what it must not let pass."""

import warnings

import numpy as np
import pytest

from mlp_scratch.layers import ScalarActivation
from mlp_scratch.losses import MAE
from mlp_scratch.testing import PropertyError, check_layer, check_loss, from_torch, strategies

X = np.array([[0.5, -1.0], [2.0, 0.25]])


class Square:
    """y = x², with `spoilt` between backward and its dy."""

    def __init__(self, spoilt=lambda dy: dy):
        self.spoilt = spoilt

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return 2 * self.x * self.spoilt(dy)


def violated(*args, **options):
    with pytest.raises(PropertyError) as caught:
        check_layer(*args, **options)
    return caught.value


def clipped_norm(dy):
    return dy * dy.dtype.type(min(1.0, 10 / max(1e-30, float(np.sqrt((dy.astype(float) ** 2).sum())))))


def divided_by_its_norm(dy):
    with np.errstate(invalid="ignore"):
        norm = np.sqrt((dy * dy).sum())
        return dy * (norm / norm)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda dy: np.clip(dy, -5, 5),
        lambda dy: np.clip(dy, -10, 10),
        clipped_norm,
        lambda dy: np.where(np.abs(dy) < 1e-3, dy.dtype.type(0), dy),
        divided_by_its_norm,
    ],
)
def test_what_only_large_small_or_no_gradients_show_is_named(spoilt):
    assert violated(Square(spoilt), X).property == "linearity"


def test_numbers_near_overflow_are_no_fault_of_backward():
    check_layer(Square(), strategies.batches(2, magnitudes="any"), only=["linearity"])


def test_a_parameter_may_be_a_single_number():
    pytest.importorskip("torch")
    check_layer(from_torch(lambda x, t: x / t, t=np.array(2.0)), [[1.0, 2.0]])


class Scaled:
    """y = 1e-4 x, whose gradient is `times` as large in float32."""

    def __init__(self, times=1.0):
        self.times = times

    def forward(self, x):
        return x * x.dtype.type(1e-4)

    def backward(self, dy):
        return dy * dy.dtype.type(1e-4 * (self.times if dy.dtype == np.float32 else 1))


def test_small_numbers_are_held_to_their_own_size_in_float32():
    check_layer(Scaled(), X)
    assert violated(Scaled(3.0), X).property == "single_precision"


class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y * self.y)


@pytest.mark.parametrize("x", [4.0, 6.0, 8.0, 10.0, 15.0])
def test_what_cancels_in_a_saturated_activation_is_no_fault(x):
    check_layer(Tanh(), [[x]], only=["single_precision"])


def test_casts_of_the_checks_themselves_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_layer(Tanh(), strategies.batches(2, magnitudes="any"), skip=["derivative", "hessian_symmetry"])


class Dense:
    def __init__(self, W):
        self.params = {"W": W}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"]

    def backward(self, dy):
        self.grads = {"W": self.x.T @ dy}
        return dy @ self.params["W"].T


@pytest.mark.parametrize("width", [64, 784])
def test_one_output_that_cancels_may_be_summed_in_another_order(width):
    for seed in range(150):
        rng = np.random.default_rng(seed)
        layer, x = Dense(rng.normal(size=(width, 1))), rng.normal(size=(3, width))
        check_layer(layer, x[:1], only=["layout"])
        reference = Dense(np.asfortranarray(layer.params["W"][::-1])[::-1])
        check_layer(layer, x, reference=reference, only=["batch_additivity", "batch_permutation", "agreement"])


class LayerNorm:
    def forward(self, x):
        centred = x - x.mean(axis=1, keepdims=True)
        self.sigma = np.sqrt((centred**2).mean(axis=1, keepdims=True) + x.dtype.type(1e-5))
        self.hat = centred / self.sigma
        return self.hat

    def backward(self, dy):
        along = self.hat * (dy * self.hat).mean(axis=1, keepdims=True)
        return (dy - dy.mean(axis=1, keepdims=True) - along) / self.sigma


def test_a_row_of_equal_numbers_may_be_normalised_in_another_order():
    check_layer(LayerNorm(), np.full((2, 9), 0.1), only=["layout", "batch_additivity", "single_precision"])


def hard_tanh(at_kinks, kinks):
    return ScalarActivation(
        "hard_tanh", lambda x: min(max(x, -1.0), 1.0), lambda x: float(abs(x) < 1) if abs(x) != 1 else at_kinks, kinks
    )


@pytest.mark.parametrize("kinks", [(-1.0, 1.0), ()])
def test_any_slope_at_a_kink_of_a_function_of_ones_own_will_do(kinks):
    x = [[1.0, -1.0, 0.5]]
    for slope in (0.0, 0.5, 1.0):
        check_layer(hard_tanh(slope, kinks), x)
    assert violated(hard_tanh(1.0005, kinks), x).property == "derivative"
    assert violated(hard_tanh(-0.0005, kinks), x).property == "derivative"


def test_the_kinks_of_this_packages_losses_have_one_slope():
    class Right(MAE):
        def sample_gradients(self, z, t):
            return np.where(z >= t, 1.0, -1.0)

    check_loss(MAE(), [[1.0]], [[1.0]])
    with pytest.raises(PropertyError):
        check_loss(Right(), [[1.0]], [[1.0]], only=["gradient_is_derivative"])
