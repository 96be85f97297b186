"""The exponential linear family: identity above zero, a saturating exponential below."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.initializers import Initializer, LeCun
from mlp_scratch.layers.base import Activation, Parameters

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@dataclass(frozen=True)
class ELU(Activation):
    """f(x) = x above zero, alpha (e^x - 1) below; f'(0) = alpha.

    D.-A. Clevert, T. Unterthiner, S. Hochreiter, ICLR 2016, arXiv:1511.07289.

    Args:
        alpha: minus the limit at -∞.

    >>> ELU().function(np.array([-1e4, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """

    kind = "elu"

    alpha: float = 1.0

    def check(self) -> None:
        checks.real("alpha", self.alpha)

    def function(self, x: Array) -> Array:
        # The minimum keeps the branch that is not taken from overflowing.
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, 1, self.alpha * np.exp(np.minimum(x, 0)))

    def initializer(self) -> Initializer:
        return LeCun()

    def constants(self) -> tuple[float, ...]:
        return (self.alpha,)

    def pieces(self, parameters: Parameters, x: Array) -> Array:
        return x > 0


@dataclass(frozen=True)
class SELU(Activation):
    """f(x) = λ ELU(x) with the α and λ for which zero mean and unit variance are a fixed point.

    G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, NeurIPS 2017, arXiv:1706.02515. f'(0) = λα.

    >>> SELU().derivative(np.array([0.0, 1.0])).round(4)
    array([1.7581, 1.0507])
    """

    kind = "selu"

    def function(self, x: Array) -> Array:
        return np.where(x > 0, SELU_SCALE * x, SELU_SCALE * SELU_ALPHA * np.expm1(np.minimum(x, 0)))

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, SELU_SCALE, SELU_SCALE * SELU_ALPHA * np.exp(np.minimum(x, 0)))

    def initializer(self) -> Initializer:
        return LeCun()

    def pieces(self, parameters: Parameters, x: Array) -> Array:
        return x > 0
