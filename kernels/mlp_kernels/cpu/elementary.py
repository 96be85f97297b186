"""exp, log and their relatives as arithmetic that LLVM can vectorise: no branch, no table, no call.

A loop that calls libm's exp runs one element at a time. Written as below, a polynomial and a few integer
operations on the exponent, the same loop runs a register of elements at a time. `exp`, `tanh`, `sigmoid`, `softplus`
and `normal_cdf` hold for every input: NaN stays NaN, large ones overflow to infinity, small ones underflow by way of
denormals. The others say for which they hold. Errors are a few units in the last place, but for `normal_cdf`, which
says its own. The references are NumPy's functions, of `sigmoid` and `softplus` those of `mlp_scratch.functional`, of
`normal_cdf` SciPy's `ndtr`.

    e^x = 2^n e^r,   n = round(x / ln 2),   |r| <= ln 2 / 2,   e^r - 1 = r (1 + r/2! + r²/3! + ...)
    log(2^n m) = n ln 2 + 2 s (1 + s²/3 + s⁴/5 + ...),   s = (m - 1) / (m + 1),   √½ <= m < √2
"""

from collections.abc import Sequence
from math import factorial, sqrt
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from scipy.special import erfcx

from mlp_kernels.cpu.compiling import inlined
from mlp_kernels.cpu.lane_values import LanesType, spread, where
from mlp_kernels.cpu.memory import (
    bits,
    from_bits,
    from_integer,
    fused_multiply_add,
    multiply_add,
    number,
    scalar_of,
)


def _polynomial(single: Sequence[float], double: Sequence[float]) -> Any:
    """A compiled polynomial by Horner's rule, from the highest power down; float32 gets by with fewer terms."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def polynomial(_context: Any, x: Any) -> Any:
        coefficients = double if scalar_of(x) == types.float64 else single

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> ir.Value:
            kind, scalar = arguments[0].type, context.get_value_type(scalar_of(x))
            first, *rest = (spread(builder, ir.Constant(scalar, c), kind) for c in coefficients)
            y = first
            for c in rest:
                y = fused_multiply_add(builder, y, arguments[0], c)
            return y

        return x(x), generate

    return polynomial


def _either(single: float, double: float) -> Any:
    """A compiled constant that differs between the two float types; a whole number stays an integer."""

    @intrinsic  # type: ignore[untyped-decorator]  # Numba's
    def either(_context: Any, like: Any) -> Any:
        wide = scalar_of(like) == types.float64
        value = double if wide else single
        kind = like
        if isinstance(value, int):
            kind = like.of(types.int64 if wide else types.int32) if isinstance(like, LanesType) else types.int64

        def generate(context: Any, builder: ir.IRBuilder, _signature: Any, _arguments: Any) -> ir.Value:
            scalar = ir.Constant(context.get_value_type(scalar_of(kind)), value)
            return spread(builder, scalar, context.get_value_type(kind))

        return kind(like), generate

    return either


def _tail_coefficients(degree: int) -> list[float]:
    """(1 + x) e^(x²) erfc(x) as a polynomial in t = (x - k) / (x + k), which takes all x >= 0 to -1 <= t < 1.

    Interpolated at Chebyshev's nodes t = cos θ, where x = k / tan²(θ/2); from the highest power down. The variable is
    that of M. Shepherd, J. Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x", Math. Comp. 1981.
    """
    theta = np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)
    x = TAIL_CENTRE / np.tan(theta / 2) ** 2
    waves = np.cos(np.outer(np.arange(degree + 1), theta))
    series = 2 / (degree + 1) * waves @ ((1 + x) * erfcx(x))
    series[0] /= 2
    return [float(c) for c in np.polynomial.chebyshev.cheb2poly(series)[::-1]]


TAIL_CENTRE = 2.5
# A Taylor series ends where its next term is below half a unit in the last place of the sum.
_exponential_series = _polynomial(
    [1 / factorial(k) for k in range(7, 0, -1)], [1 / factorial(k) for k in range(14, 0, -1)]
)
_logarithm_series = _polynomial(
    [2 / (2 * k + 1) for k in range(5, -1, -1)], [2 / (2 * k + 1) for k in range(11, -1, -1)]
)
_tail_polynomial = _polynomial(_tail_coefficients(11), _tail_coefficients(22))
# ln 2 in two parts; the first has so few digits that n times it is exact.
_ln2_high = _either(0.693359375, 0.69314718036912381649)
_ln2_low = _either(-2.12194440054690583e-4, 1.90821492927058770002e-10)
_minus_ln2_high, _minus_ln2_low = (
    _either(-0.693359375, -0.69314718036912381649),
    _either(2.12194440054690583e-4, -1.90821492927058770002e-10),
)
# 1.5 · 2^(fraction bits): adding it rounds to an integer, which is then the low bits of the sum.
_rounder = _either(12582912.0, 6755399441055744.0)
# Beyond these e^x is infinite or zero, and half of n would leave the exponent's range.
_limit = _either(160.0, 1200.0)
# Below these e^x is close to the smallest normal number.
_lowest = _either(-87.0, -708.0)
_fraction_bits = _either(23, 52)
_bias = _either(127, 1023)
_root_half_bits = _either(0x3F3504F3, 0x3FE6A09E667F3BCD)


@inlined
def _power_of_two(n: Any, like: Any) -> Any:
    """2^n for an integer n in the exponent's range."""
    return from_bits(like, (n + _bias(like)) << _fraction_bits(like))


@inlined
def _remainder(x: Any) -> Any:
    """(n + the rounder, n, r) with e^x = 2^n e^r and |r| <= ln 2 / 2."""
    shifted = multiply_add(x, number(x, 1.4426950408889634), _rounder(x))
    whole = shifted - _rounder(x)
    return shifted, whole, multiply_add(whole, _minus_ln2_low(x), multiply_add(whole, _minus_ln2_high(x), x))


@inlined
def _reduce(x: Any) -> Any:
    """(h, k, e^r - 1) with e^x = 2^h 2^k e^r: 2^n in two factors, for n may lie outside the exponent's range."""
    limit = _limit(x)
    x = limit if x > limit else x  # in this order NaN passes
    x = -limit if x < -limit else x
    shifted, whole, r = _remainder(x)
    n = bits(shifted) - bits(_rounder(x))
    # A half of n by rounding, too: a shift to the right would need integers of 64 bits, at half of the speed.
    half = bits(whole * number(x, 0.5) + _rounder(x)) - bits(_rounder(x))
    return _power_of_two(half, x), _power_of_two(n - half, x), r * _exponential_series(r)


@inlined
def exp(x: Any) -> Any:
    """e^x."""
    h, k, p = _reduce(x)
    return (number(x, 1.0) + p) * h * k


@inlined
def exp_down(x: Any) -> Any:
    """e^x for x <= 0, which a softmax asks for, in half the time; where it would be no normal number, 0."""
    shifted, _, r = _remainder(x)
    mantissa = multiply_add(r, _exponential_series(r), number(x, 1.0))
    # Shifted to where the exponent is, nothing is left of the rounder, and n adds to the exponent.
    power = from_bits(x, bits(mantissa) + (bits(shifted) << _fraction_bits(x)))
    return where(x < _lowest(x), number(x, 0.0), power)  # in this order NaN passes


@inlined
def expm1(x: Any) -> Any:
    """e^x - 1 for x that are not large, without cancellation near 0."""
    h, k, p = _reduce(x)
    # For n = 0 the last bracket is 0 and p is the answer.
    return p * h * k + (h * k - number(x, 1.0))


@inlined
def log(x: Any) -> Any:
    """log x for x that are positive, finite and no denormals: here sums of exponentials."""
    shifted = bits(x) - _root_half_bits(x)
    n = shifted >> _fraction_bits(x)
    m = from_bits(x, bits(x) - (n << _fraction_bits(x)))
    s = (m - number(x, 1.0)) / (m + number(x, 1.0))
    whole = from_integer(x, n)
    return whole * _ln2_high(x) + (s * _logarithm_series(s * s) + whole * _ln2_low(x))


@inlined
def log1p(x: Any) -> Any:
    """log(1 + x) for 0 <= x <= 1; what rounding 1 + x lost is put back."""
    one = number(x, 1.0)
    u = one + x
    return log(u) + (x - (u - one)) / u


@inlined
def tanh(x: Any) -> Any:
    """tanh x = (1 - e^-2|x|) / (1 + e^-2|x|), with the sign of x."""
    e = expm1(number(x, -2.0) * abs(x))
    t = -e / (number(x, 2.0) + e)
    return -t if x < number(x, 0.0) else t


@inlined
def sech_squared(x: Any) -> Any:
    """1 / cosh² x = 1 - tanh² x; keeps its relative accuracy where it is tiny."""
    e = exp(-abs(number(x, 2.0) * x))
    return number(x, 4.0) * e / ((number(x, 1.0) + e) * (number(x, 1.0) + e))


@inlined
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x); keeps its relative accuracy where it is tiny."""
    e = exp(-abs(x))
    one = number(x, 1.0)
    return (e if x < number(x, 0.0) else one) / (one + e)


@inlined
def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    zero = number(x, 0.0)
    return (zero if x < zero else x) + log1p(exp(-abs(x)))


@inlined
def normal_cdf(x: Any) -> Any:
    """Φ(x) = ½ erfc(-x/√2), the smaller of the two tails worked out and the other one its difference from 1.

    The smaller tail errs by up to 32 + x² units in its last place: an exponent of -x²/2 is rounded twice.
    """
    one, half, far = number(x, 1.0), number(x, 0.5), number(x, 40.0)
    a = abs(x) * number(x, sqrt(0.5))
    a = far if a > far else a  # there the tail is 0, and infinity would not be divided by itself
    t = (a - number(x, TAIL_CENTRE)) / (a + number(x, TAIL_CENTRE))
    tail = half * exp(-half * x * x) * _tail_polynomial(t) / (one + a)
    return tail if x < number(x, 0.0) else one - tail
