"""The smooth activations built from the exponential, and the identity."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.functional import sigmoid, softplus
from mlp_scratch.initializers import He, Initializer
from mlp_scratch.layers.base import Activation, Parameters


@dataclass(frozen=True)
class Identity(Activation):
    """f(x) = x."""

    kind = "identity"
    analytic = True

    def function(self, x: Array) -> Array:
        return x

    def derivative(self, x: Array) -> Array:
        return np.ones_like(x)


@dataclass(frozen=True)
class Tanh(Activation):
    """f(x) = tanh x, so f' = 1 - f² = 4 σ(2x) σ(-2x), with σ(x) = 1 / (1 + e^-x)."""

    kind = "tanh"
    analytic = True

    def function(self, x: Array) -> Array:
        return np.tanh(x)

    def derivative(self, x: Array) -> Array:
        return 4 * sigmoid(2 * x) * sigmoid(-2 * x)  # 1 - f² cancels where f is near ±1


@dataclass(frozen=True)
class Sigmoid(Activation):
    """f(x) = 1 / (1 + e^-x), so f' = f (1 - f).

    >>> Sigmoid().function(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """

    kind = "sigmoid"
    analytic = True

    def function(self, x: Array) -> Array:
        return sigmoid(x)

    def derivative(self, x: Array) -> Array:
        return sigmoid(x) * sigmoid(-x)  # 1 - f as its own sigmoid: no cancellation where f is near 1


@dataclass(frozen=True)
class Softplus(Activation):
    """f(x) = log(1 + e^(βx)) / β, so f' = sigmoid(βx); the line x itself where βx > threshold, as in PyTorch.

    Args:
        beta: β > 0, how sharp the bend is.
        threshold: the βx from which on the line is taken.

    >>> Softplus().function(np.array([0.0, 1e4])).round(4)
    array([6.931e-01, 1.000e+04])
    """

    kind = "softplus"
    analytic = False  # at βx = threshold it jumps by log(1 + e^-threshold) / β, 2e-9 by default

    beta: float = 1.0
    threshold: float = 20.0

    def check(self) -> None:
        checks.real("beta", self.beta, above=0.0)
        checks.real("threshold", self.threshold)

    def function(self, x: Array) -> Array:
        return np.where(self.beta * x > self.threshold, x, softplus(self.beta * x) / self.beta)

    def derivative(self, x: Array) -> Array:
        return np.where(self.beta * x > self.threshold, 1, sigmoid(self.beta * x))

    def initializer(self) -> Initializer:
        return He()

    def constants(self) -> tuple[float, ...]:
        return (self.beta, self.threshold)

    def pieces(self, parameters: Parameters, x: Array) -> Array:
        return self.beta * x > self.threshold
