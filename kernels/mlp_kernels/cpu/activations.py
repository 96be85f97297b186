"""The elementwise functions of a network and their derivatives, as scalars.

Each is a pair, f(x, a, b) and f'(x, a, b), with up to two constants; `forward_of` and `backward_of` make of them
loops over blocks that LLVM vectorises, for any vector width and both float types. Derivatives at a kink are
PyTorch's.

Plain reference: `function` and `derivative` of the layers in `mlp_scratch/layers/`; compared by
`tests/testing/kernel_functions/test_activations.py`.
"""

from collections.abc import Callable
from functools import cache
from math import pi, sqrt
from typing import Any, TypeAlias

from mlp_kernels.cpu.compiling import inlined
from mlp_kernels.cpu.elementary import exp, expm1, normal_cdf, sech_squared, sigmoid, softplus, tanh
from mlp_kernels.cpu.memory import load, number, store
from mlp_kernels.cpu.native import FLOATS, INT, REAL, address
from mlp_kernels.cpu.tile import Tile

Scalar: TypeAlias = Callable[[Any, Any, Any], Any]

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
CUBIC = 0.044715
ROOT_2_OVER_PI = sqrt(2 / pi)


@inlined
def relu(x: Any, a: Any, b: Any) -> Any:
    """max(x, 0)."""
    zero = number(x, 0.0)
    return zero if x < zero else x  # in this order NaN passes


@inlined
def relu_slope(x: Any, a: Any, b: Any) -> Any:
    """1 above zero, else 0; also right for the result of `relu` in place of x."""
    return number(x, 1.0) if x > number(x, 0.0) else number(x, 0.0)


@inlined
def leaky_relu(x: Any, a: Any, b: Any) -> Any:
    """x above zero, a x below."""
    return x if x > number(x, 0.0) else a * x


@inlined
def leaky_relu_slope(x: Any, a: Any, b: Any) -> Any:
    """1 above zero, else a."""
    return number(x, 1.0) if x > number(x, 0.0) else a


@inlined
def elu(x: Any, a: Any, b: Any) -> Any:
    """x above zero, a (e^x - 1) below."""
    zero = number(x, 0.0)
    return x if x > zero else a * expm1(zero if x > zero else x)


@inlined
def elu_slope(x: Any, a: Any, b: Any) -> Any:
    """1 above zero, else a e^x."""
    zero = number(x, 0.0)
    return number(x, 1.0) if x > zero else a * exp(zero if x > zero else x)


@inlined
def selu(x: Any, a: Any, b: Any) -> Any:
    """λx above zero, λα (e^x - 1) below."""
    zero = number(x, 0.0)
    below = number(x, SELU_SCALE * SELU_ALPHA) * expm1(zero if x > zero else x)
    return number(x, SELU_SCALE) * x if x > zero else below


@inlined
def selu_slope(x: Any, a: Any, b: Any) -> Any:
    """λ above zero, else λα e^x."""
    zero = number(x, 0.0)
    return number(x, SELU_SCALE) if x > zero else number(x, SELU_SCALE * SELU_ALPHA) * exp(zero if x > zero else x)


@inlined
def gelu(x: Any, a: Any, b: Any) -> Any:
    """x Φ(x)."""
    return x * normal_cdf(x)


@inlined
def gelu_slope(x: Any, a: Any, b: Any) -> Any:
    """Φ(x) + x φ(x)."""
    return normal_cdf(x) + x * (exp(number(x, -0.5) * x * x) * number(x, 1 / sqrt(2 * pi)))


@inlined
def gelu_argument(x: Any) -> Any:
    """√(2/π) (x + 0.044715 x³)."""
    return number(x, ROOT_2_OVER_PI) * (x + number(x, CUBIC) * x * x * x)


@inlined
def gelu_tanh(x: Any, a: Any, b: Any) -> Any:
    """x/2 (1 + tanh u) = x σ(2u), without cancellation where tanh u is near -1."""
    return x * sigmoid(number(x, 2.0) * gelu_argument(x))


@inlined
def gelu_tanh_slope(x: Any, a: Any, b: Any) -> Any:
    """σ(2u) + x/2 sech² u · u'."""
    u = gelu_argument(x)
    slope = number(x, ROOT_2_OVER_PI) * (number(x, 1.0) + number(x, 3 * CUBIC) * x * x)
    return sigmoid(number(x, 2.0) * u) + number(x, 0.5) * x * sech_squared(u) * slope


@inlined
def hyperbolic_tangent(x: Any, a: Any, b: Any) -> Any:
    """tanh x."""
    return tanh(x)


@inlined
def hyperbolic_tangent_slope(x: Any, a: Any, b: Any) -> Any:
    """1 - tanh² x, without cancellation where tanh x is near ±1."""
    return sech_squared(x)


@inlined
def logistic(x: Any, a: Any, b: Any) -> Any:
    """1 / (1 + e^-x)."""
    return sigmoid(x)


@inlined
def logistic_slope(x: Any, a: Any, b: Any) -> Any:
    """σ(x) σ(-x), without cancellation where σ is near 1."""
    return sigmoid(x) * sigmoid(-x)


@inlined
def soft_plus(x: Any, a: Any, b: Any) -> Any:
    """log(1 + e^ax) / a, the line x itself where ax > b."""
    return x if a * x > b else softplus(a * x) / a


@inlined
def soft_plus_slope(x: Any, a: Any, b: Any) -> Any:
    """σ(ax), 1 where ax > b."""
    return number(x, 1.0) if a * x > b else sigmoid(a * x)


FUNCTIONS: dict[str, tuple[Scalar, Scalar]] = {
    "relu": (relu, relu_slope),
    "leaky_relu": (leaky_relu, leaky_relu_slope),
    "elu": (elu, elu_slope),
    "selu": (selu, selu_slope),
    "gelu": (gelu, gelu_slope),
    "gelu_tanh": (gelu_tanh, gelu_tanh_slope),
    "tanh": (hyperbolic_tangent, hyperbolic_tangent_slope),
    "sigmoid": (logistic, logistic_slope),
    "softplus": (soft_plus, soft_plus_slope),
}
"""Every function with its derivative."""


@cache
def forward_of(function: Scalar) -> Callable[..., None]:
    """The loop y[i] = f(x[i]) over `count` elements; x and y may be the same."""

    def forward(tile: Tile, x: Any, y: Any, count: int, a: float, b: float) -> None:
        one, other = number(x, a), number(x, b)
        for i in range(count):
            store(y, i, function(load(x, i), one, other))

    return forward


@cache
def backward_of(derivative: Scalar) -> Callable[..., None]:
    """The loop dy[i] = dy[i] f'(x[i]) over `count` elements."""

    def backward(tile: Tile, x: Any, dy: Any, count: int, a: float, b: float) -> None:
        one, other = number(x, a), number(x, b)
        for i in range(count):
            store(dy, i, load(dy, i) * derivative(load(x, i), one, other))

    return backward


def forward_address(name: str, tile: Tile) -> int:
    """Where the compiled loop of a function lies."""
    return loop_address(forward_of(FUNCTIONS[name][0]), tile)


def backward_address(name: str, tile: Tile) -> int:
    """Where the compiled loop of its derivative lies."""
    return loop_address(backward_of(FUNCTIONS[name][1]), tile)


def loop_address(loop: Callable[..., None], tile: Tile, *, kept: bool = True) -> int:
    """The same for the loop of any scalar function."""
    return address(loop, (FLOATS, FLOATS, INT, REAL, REAL), tile, kept)
