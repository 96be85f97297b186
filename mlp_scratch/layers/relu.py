"""The ReLU family: identity above zero, a line below."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.initializers import He, Initializer
from mlp_scratch.layers.base import Activation, Context, Layer, Parameters


@dataclass(frozen=True)
class ReLU(Activation):
    """f(x) = max(x, 0); f'(0) = 0.

    >>> ReLU().function(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """

    kind = "relu"

    def function(self, x: Array) -> Array:
        return np.maximum(x, 0)  # unlike x * (x > 0), keeps infinity and NaN what they are

    def derivative(self, x: Array) -> Array:
        return x > 0

    def initializer(self) -> Initializer:
        return He()

    def pieces(self, parameters: Parameters, x: Array) -> Array:
        return x > 0


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """f(x) = x above zero, slope · x below; f'(0) = slope.

    A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    Args:
        slope: f' below zero.

    >>> LeakyReLU(0.1).function(np.array([-1.0, 2.0]))
    array([-0.1,  2. ])
    """

    kind = "leaky_relu"

    slope: float = 0.01

    def check(self) -> None:
        checks.real("slope", self.slope)

    def function(self, x: Array) -> Array:
        return np.where(x > 0, x, self.slope * x)

    def derivative(self, x: Array) -> Array:
        return np.where(x > 0, x.dtype.type(1), x.dtype.type(self.slope))

    def initializer(self) -> Initializer:
        return He(slope=self.slope)

    def constants(self) -> tuple[float, ...]:
        return (self.slope,)

    def pieces(self, parameters: Parameters, x: Array) -> Array:
        return x > 0


@dataclass(frozen=True)
class PReLU(Layer):
    """f(x) = x above zero, a · x below, where the slope a is learned; df/dx at 0 is a.

    K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.

    Args:
        slope: a before the first step.
        per_feature: one slope a feature, (H,), instead of one shared slope, (1,).
        n_features: H; filled in by the model.
    """

    kind = "prelu"

    slope: float = 0.25
    per_feature: bool = False
    n_features: int | None = None

    def check(self) -> None:
        checks.real("slope", self.slope)
        if self.n_features is not None:
            checks.integer("n_features", self.n_features, at_least=1)

    def forward(self, parameters: Parameters, x: Array, context: Context) -> tuple[Array, Array]:
        return np.where(x > 0, x, parameters["weight"] * x), x

    def backward(self, parameters: Parameters, cache: Array, dy: Array) -> tuple[Array, dict[str, Array]]:
        x, a = cache, parameters["weight"]
        da = np.where(x > 0, 0, x) * dy  # of each element; the slope's gradient sums those that share it
        weight = da.sum(axis=0) if self.per_feature else da.sum().reshape(1)
        return np.where(x > 0, dy, a * dy), {"weight": weight}

    def initializer(self) -> Initializer:
        return He(slope=self.slope)

    def pieces(self, parameters: Parameters, x: Array) -> Array:
        return x > 0

    def bind(self, n_in: int) -> Self:
        if self.n_features not in (None, n_in):
            raise ArgumentError(
                "layers",
                given=f"PReLU of {self.n_features} features behind a layer of {n_in} outputs",
                expected="as many features as the layer before has outputs",
                mend="leave n_features out",
            )
        return replace(self, n_features=n_in)

    def in_features(self) -> int | None:
        return self.n_features

    def constants(self) -> tuple[float, ...]:
        return (float(self.per_feature),)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.n_features if self.per_feature and self.n_features else 1,)}

    def initial_parameters(self, rng: np.random.Generator, default: Initializer) -> dict[str, Array]:
        return {"weight": np.full(self.parameter_shapes()["weight"], self.slope)}
