"""How a layer's parameters are drawn before the first step.

Every initialiser has one method, `draw(rng, shape)`. A weight has shape (H, D), so its fan-in is D and its fan-out
H. Draws are float64; the model rounds them to its dtype, so float32 and float64 models start from the same numbers.

The rules keep the variance of activations (He, LeCun) or of activations and gradients (Glorot) the same from layer
to layer:

| rule   | variance                          | source                                                      |
|--------|-----------------------------------|-------------------------------------------------------------|
| Glorot | 2 / (D + H)                       | X. Glorot, Y. Bengio, AISTATS 2010                          |
| He     | 2 / ((1 + slope²) D)              | K. He, X. Zhang, S. Ren, J. Sun, ICCV 2015, arXiv:1502.01852 |
| LeCun  | 1 / D                             | Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient BackProp", 1998 |
| Torch  | 1 / (3 D), uniform; bias too      | PyTorch's `nn.Linear`                                       |
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, unknown_name
from mlp_scratch.record import Record

Distribution = Literal["normal", "truncated_normal", "uniform"]

STEEPEST = 1e100
"""The largest slope: with a square that is far from overflow."""

_TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal cut at ±2: dividing by it restores the variance asked for."""


@dataclass(frozen=True)
class Initializer(Record):
    """Base class; a subclass is a frozen record of its constants with a `draw` method."""

    kind: ClassVar[str]

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Draw a parameter of `shape`, float64."""
        raise NotImplementedError

    def bias(self, fan_in: int) -> "Initializer":
        """The initialiser of the bias of a layer whose weight this one draws: zeros, but for PyTorch's rule."""
        return Constant(0.0)

    def as_bias(self, fan_in: int) -> "Initializer":
        """The initialiser of the bias of a layer of D = `fan_in` inputs whose `bias_init` is this one: itself.

        Raises:
            ArgumentError: for a rule that only a weight has the shape for.
        """
        return self


@dataclass(frozen=True)
class _VarianceRule(Initializer):
    """A zero-mean draw whose variance follows from fan-in D and fan-out H."""

    distribution: Distribution = "uniform"

    def check(self) -> None:
        if self.distribution not in ("normal", "truncated_normal", "uniform"):
            raise unknown_name("distribution", self.distribution, ["normal", "truncated_normal", "uniform"])

    def variance(self, fan_in: int, fan_out: int) -> float:
        raise NotImplementedError

    def as_bias(self, fan_in: int) -> Initializer:
        raise ArgumentError(
            "bias_init",
            given=checks.describe(self),
            expected="an initialiser of vectors, which have no fan-in and fan-out to take a variance from",
            mend="use 'zeros', or 'torch' for U(-1/√D, 1/√D)",
        )

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        fan_out, fan_in = shape
        deviation = np.sqrt(self.variance(fan_in, fan_out))
        if self.distribution == "normal":
            return rng.normal(0.0, deviation, shape)
        if self.distribution == "uniform":
            bound = np.sqrt(3.0) * deviation  # U(-b, b) has variance b²/3
            return rng.uniform(-bound, bound, shape)
        from scipy.special import ndtr, ndtri  # scipy takes longer to import than the rest of the package

        # Inverse transform: a uniform draw between Φ(-2) and Φ(2) is a normal one between -2 and 2.
        within = rng.uniform(ndtr(-2.0), ndtr(2.0), shape)
        return np.asarray(ndtri(within)) * (deviation / _TRUNCATED_DEVIATION)


@dataclass(frozen=True)
class Glorot(_VarianceRule):
    """Variance 2 / (D + H): for tanh, sigmoid and softmax layers."""

    kind = "glorot"

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / (fan_in + fan_out)


@dataclass(frozen=True)
class He(_VarianceRule):
    """Variance 2 / ((1 + slope²) D): for the ReLU family; `slope` is that of the negative side.

    >>> w = He().draw(np.random.default_rng(0), (400, 500))
    >>> bool(abs(w.var() * 500 - 2) < 0.05)
    True
    """

    kind = "he"
    slope: float = 0.0

    def check(self) -> None:
        super().check()
        checks.real("slope", self.slope, at_least=-STEEPEST, at_most=STEEPEST)

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2.0 / ((1.0 + self.slope**2) * fan_in)


@dataclass(frozen=True)
class LeCun(_VarianceRule):
    """Variance 1 / D: for SELU and ELU."""

    kind = "lecun"

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 1.0 / fan_in


@dataclass(frozen=True)
class TorchDefault(Initializer):
    """What PyTorch's `nn.Linear` does: U(-1/√D, 1/√D) for the weight and, with the same D, for the bias."""

    kind = "torch"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        bound = 1.0 / np.sqrt(shape[1])
        return rng.uniform(-bound, bound, shape)

    def bias(self, fan_in: int) -> Initializer:
        bound = 1.0 / np.sqrt(fan_in)
        return Uniform(-bound, bound)

    def as_bias(self, fan_in: int) -> Initializer:
        return self.bias(fan_in)


@dataclass(frozen=True)
class Normal(Initializer):
    """N(0, sigma²), whatever the layer's size; sigma >= 0."""

    kind = "normal"
    sigma: float = 0.01

    def check(self) -> None:
        checks.real("sigma", self.sigma, at_least=0.0)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.normal(0.0, self.sigma, shape)


@dataclass(frozen=True)
class Uniform(Initializer):
    """U(a, b), whatever the layer's size; a <= b, and b - a is finite."""

    kind = "uniform"
    a: float = -0.05
    b: float = 0.05

    def check(self) -> None:
        a, b = checks.real("a", self.a), checks.real("b", self.b)
        if b < a:
            raise ArgumentError("b", given=self.b, expected=f"a number of at least a = {self.a}")
        if not math.isfinite(b - a):
            raise ArgumentError("b", given=self.b, expected=f"a number whose distance from a = {self.a} is finite")

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return rng.uniform(self.a, self.b, shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """The same value everywhere."""

    kind = "constant"
    value: float = 0.0

    def check(self) -> None:
        checks.real("value", self.value)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        return np.full(shape, self.value, np.float64)  # an integer may be larger than those of NumPy


INITIALIZERS: dict[str, Initializer] = {
    "he_normal": He("normal"),
    "he_truncated_normal": He("truncated_normal"),
    "he_uniform": He("uniform"),
    "glorot_normal": Glorot("normal"),
    "glorot_truncated_normal": Glorot("truncated_normal"),
    "glorot_uniform": Glorot("uniform"),
    "lecun_normal": LeCun("normal"),
    "lecun_truncated_normal": LeCun("truncated_normal"),
    "lecun_uniform": LeCun("uniform"),
    "torch": TorchDefault(),
    "normal": Normal(),
    "uniform": Uniform(),
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
}
"""Initialisers by name, with the constants that they have by default; the classes above take others."""

KINDS: dict[str, Callable[..., Initializer]] = {
    row.kind: row for row in (He, Glorot, LeCun, TorchDefault, Normal, Uniform, Constant)
}
"""Initialiser classes by the name that model files record."""
