"""Each property of layers and losses on a lie of its own: an object that violates it, and is right in most else."""

from dataclasses import dataclass

import numpy as np
import pytest

from mlp_scratch.functional import softmax
from mlp_scratch.losses import CrossEntropy, Loss
from mlp_scratch.testing import Function, PropertyError, check_layer, check_loss
from mlp_scratch.testing.layers import PROPERTIES as OF_LAYERS
from mlp_scratch.testing.losses import PROPERTIES as OF_LOSSES

RNG = np.random.default_rng(0)
X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75], [-1.0, 1.0, 0.5]])


class Square:
    """y = x², right."""

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return 2 * self.x * dy


class WritesToDy(Square):
    def backward(self, dy):
        dy *= 2 * self.x
        return dy


class SpoilsItsCache(Square):
    def backward(self, dy):
        dx = super().backward(dy)
        self.x = self.x + 1
        return dx


class DrawsNoiseAnew(Square):
    """Dropout whose mask nobody can foresee."""

    def forward(self, x):
        return super().forward(x) * RNG.uniform(0.5, 1.0, x.shape).astype(x.dtype)


class Scaled(Square):
    def backward(self, dy):
        return super().backward(dy) * dy.dtype.type(1.0005)


class Clips(Square):
    """Gradient clipping inside backward."""

    def backward(self, dy):
        return np.clip(super().backward(dy), -1, 1)


class MindsTheNumberOfSamples(Square):
    def forward(self, x):
        return super().forward(x) * len(x)

    def backward(self, dy):
        return super().backward(dy) * len(dy)


class MindsTheFirstSample(Square):
    def forward(self, x):
        return super().forward(x) + x[0]

    def backward(self, dy):
        dx = super().backward(dy)
        dx[0] += dy.sum(axis=0)
        return dx


class Curl(Square):
    def backward(self, dy):
        return dy * self.x[:, ::-1] * np.array([1.0, 2.0, -3.0])


class ReadsMemoryOrder(Square):
    def forward(self, x):
        super().forward(x)
        return (x * x).ravel(order="K").reshape(x.shape)


class SinglePrecisionIsForgotten(Square):
    def forward(self, x):
        return super().forward(x) * np.float64(1)


def noisy(factor):
    """Half of all elements dropped, the others times `factor`: 2 is right."""

    def vjp(inputs):
        x = inputs["x"]
        mask = factor * (np.random.default_rng(0).uniform(size=x.shape) < 0.5)
        return x * mask, lambda dy: {"x": dy * mask}

    return Function("noisy", vjp, batch="positional", expectation=lambda inputs: inputs["x"])


LAYER_LIES = {
    "purity": WritesToDy(),
    "repeatability": SpoilsItsCache(),
    "derivative": Scaled(),
    "adjoint": Scaled(),
    "linearity": Clips(),
    "batch_additivity": MindsTheNumberOfSamples(),
    "batch_permutation": MindsTheFirstSample(),
    "hessian_symmetry": Curl(),
    "unbiased": noisy(1.5),
    "layout": ReadsMemoryOrder(),
    "single_precision": SinglePrecisionIsForgotten(),
}


@pytest.mark.parametrize("name", OF_LAYERS)
def test_each_property_of_layers_sees_a_lie(name):
    check_layer(noisy(2.0) if name == "unbiased" else Square(), X, only=[name])
    with pytest.raises(PropertyError) as caught:
        check_layer(LAYER_LIES[name], X, only=[name])
    assert caught.value.property == name


def test_noise_that_is_drawn_anew_is_named():
    with pytest.raises(PropertyError, match="forward called twice returns the same") as caught:
        check_layer(DrawsNoiseAnew(), X)
    assert caught.value.property == "repeatability"


@pytest.mark.parametrize("name", ["batch_permutation", "batch_additivity"])
def test_two_samples_are_enough(name):
    """A reordering that leaves the samples where they are would pass anything."""
    with pytest.raises(PropertyError):
        check_layer(LAYER_LIES[name], X[:2], only=[name])


class PlainLoss:
    """Softmax cross-entropy of class indices, without this package's base class: right."""

    def value(self, z, t, weights=None):
        w = np.ones(len(z)) if weights is None else weights
        shifted = z - z.max(axis=1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(z)), t]
        return w @ losses / w.sum()

    def gradient(self, z, t, weights=None):
        w = np.ones(len(z)) if weights is None else weights
        return (w / w.sum())[:, np.newaxis] * (softmax(z) - np.eye(z.shape[1])[t])


class ScaledGradient(PlainLoss):
    def gradient(self, z, t, weights=None):
        return 1.0005 * super().gradient(z, t, weights)


class SumsOverSamples(PlainLoss):
    def value(self, z, t, weights=None):
        return len(z) * super().value(z, t, weights)

    def gradient(self, z, t, weights=None):
        return len(z) * super().gradient(z, t, weights)


class SquaresItsWeights(PlainLoss):
    def value(self, z, t, weights=None):
        return super().value(z, t, None if weights is None else weights**2)

    def gradient(self, z, t, weights=None):
        return super().gradient(z, t, None if weights is None else weights**2)


class DoesNotNormaliseWeights(PlainLoss):
    def value(self, z, t, weights=None):
        return super().value(z, t, weights) * (1 if weights is None else weights.mean())

    def gradient(self, z, t, weights=None):
        return super().gradient(z, t, weights) * (1 if weights is None else weights.mean())


class Penalised(PlainLoss):
    def value(self, z, t, weights=None):
        return super().value(z, t, weights) + 1e-6 * z.sum()

    def gradient(self, z, t, weights=None):
        return super().gradient(z, t, weights) + 1e-6


class Overflows(PlainLoss):
    def value(self, z, t, weights=None):
        with np.errstate(over="ignore"):
            return super().value(z, t, weights) + 0 * np.exp(z).max()


@dataclass(frozen=True)
class MovedOptimum(Loss):
    """(z - t - 1)²: a right gradient of the wrong function."""

    kind = "mse"

    def prepare(self, y, n_outputs, dtype):
        return np.asarray(y, dtype)

    def sample_values(self, z, t):
        return ((z - t - 1) ** 2).mean(axis=1)

    def sample_gradients(self, z, t):
        return 2 * (z - t - 1) / z.shape[1]


class WritesToWeights(PlainLoss):
    def value(self, z, t, weights=None):
        if weights is not None:
            weights /= weights.sum()
        return super().value(z, t, weights)


class AlwaysDouble(PlainLoss):
    def gradient(self, z, t, weights=None):
        return super().gradient(z, t, weights).astype(np.float64)


LOSS_LIES = {
    "purity": WritesToWeights(),
    "gradient_is_derivative": ScaledGradient(),
    "mean_over_samples": SumsOverSamples(),
    "additivity": SquaresItsWeights(),
    "unweighted": DoesNotNormaliseWeights(),
    "shift_invariance": Penalised(),
    "zero_at_optimum": MovedOptimum(),
    "finite_at_extremes": Overflows(),
    "dtype": AlwaysDouble(),
}
T, WEIGHTS = np.array([0, 2, 1]), np.array([0.5, 2.0, 1.0])


def test_a_loss_of_ones_own_passes():
    check_loss(PlainLoss(), X, T, weights=WEIGHTS, shift_invariant=True)
    check_loss(CrossEntropy(), X, T, weights=WEIGHTS)


@pytest.mark.filterwarnings("ignore:invalid value")  # 0 · inf is the fault of one of them
@pytest.mark.parametrize("name", OF_LOSSES)
def test_each_property_of_losses_sees_a_lie(name):
    z = X.astype(np.float32) if name == "dtype" else X
    t, optimum = (X, lambda t: t) if name == "zero_at_optimum" else (T, None)
    with pytest.raises(PropertyError) as caught:
        check_loss(LOSS_LIES[name], z, t, weights=WEIGHTS, shift_invariant=True, optimum=optimum, only=[name])
    assert caught.value.property == name
