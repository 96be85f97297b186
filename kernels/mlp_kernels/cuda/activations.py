"""The elementwise functions of a network and their derivatives, as scalars; a table's row says which one is meant.

Each is f(x, a, b) with up to two constants. All threads of a kernel run the same operation at the same time, so the
chain of comparisons that finds it costs a few instructions and no divergence. Derivatives at a kink are PyTorch's.
"""

from functools import cache
from math import erfc, exp, expm1, log1p, pi, sqrt, tanh
from typing import Any

from mlp_kernels.cuda.pure import pure

RELU, LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, TANH, SIGMOID, SOFTPLUS = range(9)
"""Kinds of operations; those behind these are no functions of one element, see `operations`."""

KINDS = {
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "gelu_tanh": GELU_TANH,
    "tanh": TANH,
    "sigmoid": SIGMOID,
    "softplus": SOFTPLUS,
}
"""Every function by its name."""

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
CUBIC = 0.044715
ROOT_2_OVER_PI = sqrt(2 / pi)
ROOT_HALF = sqrt(0.5)
DENSITY_AT_0 = 1 / sqrt(2 * pi)


@cache
def smooth_functions_of(element: Any) -> tuple[Any, Any]:
    """Sigmoid and softplus; neither overflows for any x."""
    zero, one = element(0.0), element(1.0)

    @pure
    def sigmoid(x: Any) -> Any:
        """1 / (1 + e^-x); keeps its relative accuracy where it is tiny."""
        e = exp(-abs(x))
        return (e if x < zero else one) / (one + e)

    @pure
    def softplus(x: Any) -> Any:
        """log(1 + e^x)."""
        return (zero if x < zero else x) + log1p(exp(-abs(x)))

    return sigmoid, softplus


@cache
def activations_of(element: Any) -> tuple[Any, Any]:
    """The two functions f(kind, x, a, b) and f'(kind, x, a, b)."""
    zero, half, one, two, three, four = (element(value) for value in (0.0, 0.5, 1.0, 2.0, 3.0, 4.0))
    scale, scaled_alpha = element(SELU_SCALE), element(SELU_SCALE * SELU_ALPHA)
    cubic, root_2_over_pi, root_half = element(CUBIC), element(ROOT_2_OVER_PI), element(ROOT_HALF)
    density_at_0 = element(DENSITY_AT_0)
    sigmoid, softplus = smooth_functions_of(element)

    @pure
    def gelu_argument(x: Any) -> Any:
        """√(2/π) (x + 0.044715 x³)."""
        return root_2_over_pi * (x + cubic * x * x * x)

    @pure
    def activate(kind: int, x: Any, a: Any, b: Any) -> Any:
        """f(x). The minimum keeps a branch that is not taken from overflowing."""
        below = zero if x > zero else x
        if kind == RELU:
            return zero if x < zero else x  # in this order NaN passes
        if kind == LEAKY_RELU:
            return x if x > zero else a * x
        if kind == ELU:
            return x if x > zero else a * expm1(below)
        if kind == SELU:
            return scale * x if x > zero else scaled_alpha * expm1(below)
        if kind == GELU:
            return x * (half * erfc(-x * root_half))
        if kind == GELU_TANH:
            return x * sigmoid(two * gelu_argument(x))
        if kind == TANH:
            return tanh(x)
        if kind == SIGMOID:
            return sigmoid(x)
        return x if a * x > b else softplus(a * x) / a

    @pure
    def slope(kind: int, x: Any, a: Any, b: Any) -> Any:
        """f'(x)."""
        below = zero if x > zero else x
        if kind == RELU:
            return one if x > zero else zero
        if kind == LEAKY_RELU:
            return one if x > zero else a
        if kind == ELU:
            return one if x > zero else a * exp(below)
        if kind == SELU:
            return scale if x > zero else scaled_alpha * exp(below)
        if kind == GELU:
            return half * erfc(-x * root_half) + x * (exp(-half * x * x) * density_at_0)
        if kind == GELU_TANH:
            u, inner = two * gelu_argument(x), root_2_over_pi * (one + three * cubic * x * x)
            return sigmoid(u) + two * x * sigmoid(u) * sigmoid(-u) * inner
        if kind == TANH:
            return four * sigmoid(two * x) * sigmoid(-two * x)  # 1 - tanh² x cancels where tanh x is near ±1
        if kind == SIGMOID:
            return sigmoid(x) * sigmoid(-x)  # without cancellation where σ is near 1
        return one if a * x > b else sigmoid(a * x)

    return activate, slope
