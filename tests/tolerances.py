"""Every tolerance of the tests, derived from the rounding unit, the sizes and the magnitudes involved.

Notation: eps is the distance from 1 to the next number of a dtype, so one rounding errs by eps/2 relatively.
All comparisons go through `assert_close`, whose test is written so that a NaN fails it.
"""

import numpy as np
import numpy.typing as npt

PARITY = 1e-12
"""What the project promises beside PyTorch in float64: 4,500 eps, see `assert_parity` for what it is relative to."""

GRADCHECK = 1e-7
"""What the project promises of its gradient check in float64."""


def assert_close(actual: npt.ArrayLike, expected: npt.ArrayLike, tolerance: npt.ArrayLike, what: str = "") -> None:
    """Fail unless |actual - expected| <= tolerance everywhere; shapes must be the same, and NaN or infinity fail.

    >>> assert_close([1.0, 2.0], [1.0, 2.5], 0.1)
    Traceback (most recent call last):
    AssertionError: got 2.0, expected 2.5 at (1,): off by 0.5, allowed 0.1
    """
    a, b = np.asarray(actual), np.asarray(expected)
    assert a.shape == b.shape, f"{what or 'array'}: got shape {a.shape}, expected {b.shape}"
    with np.errstate(invalid="ignore"):
        off = np.abs(a - b)
        good = off <= tolerance  # false for NaN, also for a NaN tolerance
    good &= np.isfinite(a) & np.isfinite(b)
    if not good.all():
        where = tuple(int(i) for i in np.argwhere(~good)[0])
        allowed = np.broadcast_to(tolerance, a.shape)[where]
        prefix = f"{what}: " if what else ""
        raise AssertionError(
            f"{prefix}got {a[where]}, expected {b[where]} at {where}: off by {off[where]}, allowed {allowed}"
        )


def assert_parity(actual: npt.ArrayLike, expected: npt.ArrayLike, what: str = "", tolerance: float = PARITY) -> None:
    """Equal to `tolerance` relative to the largest magnitude of the expected array: max |a - b| <= tol · max |b|.

    Relative to the array and not to each element, because an element that is a sum with cancellation (most
    gradients) carries the rounding of its largest terms. Where the expected array is zero, so must the other be.
    """
    b = np.asarray(expected)
    assert_close(actual, b, tolerance * np.abs(b).max(initial=0.0), what)


def eps(dtype: npt.DTypeLike) -> float:
    """The distance from 1 to the next number of `dtype`."""
    return float(np.finfo(dtype).eps)


def gemm_bound(A: npt.NDArray[np.floating], B: npt.NDArray[np.floating], dtype: npt.DTypeLike) -> npt.NDArray:
    """How far A @ B computed in `dtype` may be from the exact product, elementwise, in any order of summation.

    A sum of k products, in whatever order and with or without fused multiply-adds, errs by at most γ_k (|A| |B|)
    with γ_k = k u / (1 - k u) and u = eps / 2 (N. Higham, "Accuracy and Stability of Numerical Algorithms", 3.5).
    k eps is above γ_k while k u <= 1/2. Rounding the exact result to `dtype` adds at most one more eps/2.
    """
    k = A.shape[1]
    assert k * eps(dtype) <= 1, "the bound does not hold for sums of so many terms"
    magnitude = np.abs(A).astype(np.longdouble) @ np.abs(B).astype(np.longdouble)
    return np.asarray((k + 1) * eps(dtype) * magnitude, dtype=np.float64)


def rounded_gemm_bound(
    A: npt.NDArray[np.floating], B: npt.NDArray[np.floating], unit: float, *, products: int = 1
) -> npt.NDArray:
    """How far A @ B in float32 may be from the exact product where operands were rounded to `unit` before.

    a (1 + δ) b (1 + ε) with |δ|, |ε| <= unit is off by at most (2 unit + unit²) |a b|. The sum of `products` terms for
    each pair errs as in `gemm_bound`, whose k eps instead of γ_k also covers hardware that cuts off where it should
    round. An operand in two parts, high and low with a rounding of `unit` each, is one of unit² that has three
    products; without the one of low and low, which is at most unit² |a b|, it counts as 1.5 unit².
    """
    magnitude = np.abs(A).astype(np.float64) @ np.abs(B).astype(np.float64)
    grown = (1 + unit) ** 2
    terms = products * A.shape[1] + 1
    return np.asarray((grown - 1 + grown * terms * eps(np.float32)) * magnitude)


OPERAND_ROUNDING = {
    "float32": (0.0, 1),
    "3xtf32": (1.5 * 2.0**-22, 3),
    "tf32": (2.0**-11, 1),
    "bf16": (2.0**-8, 1),
}
"""By precision, the `unit` and the `products` of `rounded_gemm_bound`: half the distance to the next number."""


def inexact_gemm_bound(
    A: npt.NDArray[np.floating],
    B: npt.NDArray[np.floating],
    precision: str,
    off_a: npt.ArrayLike = 0.0,
    off_b: npt.ArrayLike = 0.0,
) -> npt.NDArray:
    """How far a product at a precision may be from A @ B where its operands are off by `off_a` and `off_b` before.

    They are at most |A| + off_a and |B| + off_b large, which bounds the product's own error; and
    (A + E)(B + F) - AB = AF + EB + EF.
    """
    a, b = np.abs(A).astype(np.float64), np.abs(B).astype(np.float64)
    e, f = np.broadcast_to(off_a, a.shape), np.broadcast_to(off_b, b.shape)
    unit, products = OPERAND_ROUNDING[precision]
    own = rounded_gemm_bound(a + e, b + f, unit, products=products)
    return np.asarray(own + a @ f + e @ b + e @ f)


def summation_bound(terms: int, magnitude: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[np.float64]:
    """How far a sum of `terms` numbers, whose absolute values add up to `magnitude`, may be off: γ_n Σ|x|."""
    return np.asarray(terms * eps(dtype) * np.asarray(magnitude, dtype=np.float64))


def function_bound(value: npt.ArrayLike, dtype: npt.DTypeLike, roundings: int = 16) -> npt.NDArray[np.float64]:
    """How far a formula of about `roundings` operations without cancellation may be from its exact `value`.

    NumPy's exponential, logarithm and tanh err by at most 4 units in the last place, so 16 covers two of them
    and the arithmetic around. The smallest normal number is added for results that underflow.
    """
    return np.asarray(roundings * eps(dtype) * np.abs(value) + 4 * float(np.finfo(dtype).tiny))


def difference_bound(h: float, third_derivative: float, scale: float, slope: float = 0.0) -> float:
    """How far (φ(h) - φ(-h)) / 2h in float64 may be from φ'(0).

    Truncation h²/6 · max|φ'''|; rounding: each φ errs by at most 8 roundings of the largest number `scale` that
    went into it, twice, over 2h; and `slope` itself is rounded.
    """
    return h * h / 6 * third_derivative + 8 * eps(np.float64) * scale / h + 16 * eps(np.float64) * abs(slope)


SIGMAS = 6.0
"""Statistical tests look this many standard deviations wide: for one normal figure, wrong by chance once in 5e8."""


def mean_bound(deviation: float, n: int) -> float:
    """How far the mean of `n` draws of standard deviation `deviation` may be from its expectation."""
    return SIGMAS * deviation / np.sqrt(n)


def variance_bound(variance: float, kurtosis: float, n: int) -> float:
    """How far the sample variance of `n` draws may be from `variance`: Var(s²) = σ⁴ (kurtosis - 1) / n, nearly.

    The kurtosis E[(x - μ)⁴] / σ⁴ is 3 for a normal distribution, 9/5 for a uniform one.
    """
    return SIGMAS * variance * np.sqrt((kurtosis - 1) / n)


def count_bound(probability: float, n: int) -> float:
    """How far the number of successes among `n` trials may be from `probability` · n."""
    return SIGMAS * np.sqrt(n * probability * (1 - probability))
