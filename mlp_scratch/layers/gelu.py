"""The Gaussian error linear unit, exact and in its tanh approximation."""

from dataclasses import dataclass
from math import pi, sqrt
from typing import Literal

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.errors import unknown_name
from mlp_scratch.functional import normal_cdf, sigmoid
from mlp_scratch.initializers import He, Initializer
from mlp_scratch.layers.base import Activation

_CUBIC = 0.044715


@dataclass(frozen=True)
class GELU(Activation):
    """f(x) = x Φ(x), with Φ the standard normal distribution function, so f'(x) = Φ(x) + x φ(x).

    With `approximate="tanh"`, f(x) = x/2 · (1 + tanh u), u = √(2/π) (x + 0.044715 x³), and f' is that function's
    own derivative. D. Hendrycks, K. Gimpel, 2016, arXiv:1606.08415. It is worked out as x σ(2u), with σ(u) = 1 / (1 +
    e^-u), which is the same, but for the last digits far below 0: there 1 + tanh u loses them all.

    Args:
        approximate: "none" or "tanh", as in PyTorch.

    >>> GELU().function(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """

    kind = "gelu"
    analytic = True

    approximate: Literal["none", "tanh"] = "none"

    def check(self) -> None:
        if self.approximate not in ("none", "tanh"):
            raise unknown_name("approximate", self.approximate, ["none", "tanh"])

    def function(self, x: Array) -> Array:
        if self.approximate == "none":
            return x * normal_cdf(x)
        return x * sigmoid(2 * self._u(x))

    def derivative(self, x: Array) -> Array:
        if self.approximate == "none":
            return normal_cdf(x) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)
        u, du = self._u(x), sqrt(2 / pi) * (1 + 3 * _CUBIC * x * x)
        return sigmoid(2 * u) + 2 * x * sigmoid(2 * u) * sigmoid(-2 * u) * du

    def initializer(self) -> Initializer:
        return He()

    def constants(self) -> tuple[float, ...]:
        return (float(self.approximate == "tanh"),)

    @staticmethod
    def _u(x: Array) -> Array:
        return sqrt(2 / pi) * (x + _CUBIC * x**3)
