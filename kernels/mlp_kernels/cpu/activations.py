"""The elementwise functions of a network and their derivatives, over blocks of neighbouring elements.

`forward` writes y = f(x); `backward` multiplies dy by f'(x) in place. Every loop is one that LLVM vectorises, so a
function is written once, for any vector width and both float types. References: any textbook; the derivatives at a
kink are PyTorch's.
"""

from math import erfc, pi, sqrt
from typing import Any

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.elementary import exp, expm1, sigmoid, softplus, tanh
from mlp_kernels.cpu.memory import load, number, store

IDENTITY, RELU, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, TANH, SIGMOID, SOFTPLUS = range(10)
"""The functions by number; `a` and `b` below are their constants."""

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
_CUBIC = 0.044715
_ROOT_2_OVER_PI = sqrt(2 / pi)


@kernel
def forward(function: int, x: Any, y: Any, count: int, a: float, b: float) -> None:
    """y[i] = f(x[i]) for `count` elements; x and y may be the same."""
    zero, one = number(x, 0.0), number(x, 1.0)
    a, b = number(x, a), number(x, b)
    if function == IDENTITY:
        for i in range(count):
            store(y, i, load(x, i))
    elif function == RELU:
        for i in range(count):
            v = load(x, i)
            store(y, i, zero if v < zero else v)  # in this order NaN passes
    elif function == LEAKY_RELU:
        for i in range(count):
            v = load(x, i)
            store(y, i, v if v > zero else a * v)
    elif function == ELU:
        for i in range(count):
            v = load(x, i)
            store(y, i, v if v > zero else a * expm1(zero if v > zero else v))
    elif function == SELU:
        scale, below = number(x, SELU_SCALE), number(x, SELU_SCALE * SELU_ALPHA)
        for i in range(count):
            v = load(x, i)
            store(y, i, scale * v if v > zero else below * expm1(zero if v > zero else v))
    elif function == GELU:
        for i in range(count):
            v = load(x, i)
            store(y, i, number(x, v * _normal_cdf(v)))
    elif function == GELU_TANH:
        half = number(x, 0.5)
        for i in range(count):
            v = load(x, i)
            store(y, i, half * v * (one + tanh(_gelu_argument(v))))
    elif function == TANH:
        for i in range(count):
            store(y, i, tanh(load(x, i)))
    elif function == SIGMOID:
        for i in range(count):
            store(y, i, sigmoid(load(x, i)))
    elif function == SOFTPLUS:
        for i in range(count):
            v = load(x, i)
            store(y, i, v if a * v > b else softplus(a * v) / a)


@kernel
def backward(function: int, x: Any, dy: Any, count: int, a: float, b: float) -> None:
    """dy[i] = dy[i] f'(x[i]) for `count` elements; for ReLU x may also be its result."""
    zero, one = number(x, 0.0), number(x, 1.0)
    a, b = number(x, a), number(x, b)
    if function == RELU:
        for i in range(count):
            store(dy, i, load(dy, i) if load(x, i) > zero else zero)
    elif function == LEAKY_RELU:
        for i in range(count):
            store(dy, i, load(dy, i) * (one if load(x, i) > zero else a))
    elif function == ELU:
        for i in range(count):
            v = load(x, i)
            store(dy, i, load(dy, i) * (one if v > zero else a * exp(zero if v > zero else v)))
    elif function == SELU:
        scale, below = number(x, SELU_SCALE), number(x, SELU_SCALE * SELU_ALPHA)
        for i in range(count):
            v = load(x, i)
            store(dy, i, load(dy, i) * (scale if v > zero else below * exp(zero if v > zero else v)))
    elif function == GELU:
        for i in range(count):
            v = load(x, i)
            density = exp(number(x, -0.5) * v * v) * number(x, 1 / sqrt(2 * pi))
            store(dy, i, load(dy, i) * (number(x, _normal_cdf(v)) + v * density))
    elif function == GELU_TANH:
        half = number(x, 0.5)
        for i in range(count):
            v = load(x, i)
            t = tanh(_gelu_argument(v))
            slope = number(x, _ROOT_2_OVER_PI) * (one + number(x, 3 * _CUBIC) * v * v)
            store(dy, i, load(dy, i) * (half * (one + t) + half * v * (one - t * t) * slope))
    elif function == TANH:
        for i in range(count):
            t = tanh(load(x, i))
            store(dy, i, load(dy, i) * (one - t * t))
    elif function == SIGMOID:
        for i in range(count):
            v = load(x, i)
            store(dy, i, load(dy, i) * (sigmoid(v) * sigmoid(-v)))
    elif function == SOFTPLUS:
        for i in range(count):
            v = load(x, i)
            store(dy, i, load(dy, i) * (one if a * v > b else sigmoid(a * v)))


@kernel
def _gelu_argument(v: Any) -> Any:
    """√(2/π) (v + 0.044715 v³)."""
    return number(v, _ROOT_2_OVER_PI) * (v + number(v, _CUBIC) * v * v * v)


@kernel
def _normal_cdf(v: Any) -> Any:
    """Φ(v), in float64."""
    return 0.5 * erfc(-v * sqrt(0.5))


@kernel
def forward_slope(x: Any, y: Any, count: int, slope: Any) -> None:
    """y[i] = x[i] above zero, slope · x[i] below."""
    for i in range(count):
        v = load(x, i)
        store(y, i, v if v > number(x, 0.0) else slope * v)


@kernel
def backward_slope(x: Any, dy: Any, count: int, slope: Any, lanes: Any) -> None:
    """The derivative with respect to x, in place; that with respect to the slope is added lane by lane."""
    zero = number(x, 0.0)
    for i in range(count):
        v, d = load(x, i), load(dy, i)
        store(lanes, i, load(lanes, i) + (zero if v > zero else v * d))
        store(dy, i, d if v > zero else slope * d)
