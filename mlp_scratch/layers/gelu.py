"""The Gaussian error linear unit, exact and in its tanh approximation."""

from dataclasses import dataclass
from math import pi, sqrt
from typing import Literal

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.errors import unknown_name
from mlp_scratch.functional import normal_cdf
from mlp_scratch.initializers import He, Initializer
from mlp_scratch.layers.base import Activation

_CUBIC = 0.044715


@dataclass(frozen=True)
class GELU(Activation):
    """f(x) = x Φ(x), with Φ the standard normal distribution function, so f'(x) = Φ(x) + x φ(x).

    With `approximate="tanh"`, f(x) = x/2 · (1 + tanh u), u = √(2/π) (x + 0.044715 x³), and f' is that function's
    own derivative. D. Hendrycks, K. Gimpel, 2016, arXiv:1606.08415.

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
        return 0.5 * x * (1 + np.tanh(self._u(x)))

    def derivative(self, x: Array) -> Array:
        if self.approximate == "none":
            return normal_cdf(x) + x * np.exp(-0.5 * x * x) / sqrt(2 * pi)
        t = np.tanh(self._u(x))
        du = sqrt(2 / pi) * (1 + 3 * _CUBIC * x * x)
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * du

    def initializer(self) -> Initializer:
        return He()

    def constants(self) -> tuple[float, ...]:
        return (float(self.approximate == "tanh"),)

    @staticmethod
    def _u(x: Array) -> Array:
        return sqrt(2 / pi) * (x + _CUBIC * x**3)
