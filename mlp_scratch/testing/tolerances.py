"""The error model of every check: how far two numbers may be apart before a property counts as violated.

Notation: eps is the distance from 1 to the next number of a dtype, so one rounding errs by eps/2 relatively. Sums
of n terms err by at most n·eps times the sum of the terms' magnitudes, in any order (N. Higham, "Accuracy and
Stability of Numerical Algorithms", 2002, section 3.5). No tolerance here is chosen by looking at results, and a
NaN is within no tolerance.
"""

import numpy as np
import numpy.typing as npt

from mlp_scratch._types import Array
from mlp_scratch.derivatives import DOUBTS, Derivative

OPERATIONS = 64
"""Roundings on the way from an input to an output, beside those of the sums: a normalisation and an activation."""

RESOLVED = 1e-5
"""A derivative counts as resolved where it is known this well, relative to the largest one of its array."""

TRAJECTORY = 1e-9
"""What backends promise each other in float64 after 100 steps, relative to the largest number of an array."""


def eps(dtype: npt.DTypeLike) -> float:
    """The distance from 1 to the next number of `dtype`."""
    return float(np.finfo(dtype).eps)


def rounding(terms: int, magnitude: float, dtype: npt.DTypeLike) -> float:
    """How far apart two ways of computing the same sum of `terms` numbers may be.

    `magnitude` is the size that the numbers have before they cancel. Results that underflow err absolutely, by the
    smallest normal number.

    >>> rounding(0, 1.0, "float32") == 64 * (2.0**-23 + 2.0**-126)
    True
    """
    return (terms + OPERATIONS) * (eps(dtype) * magnitude + float(np.finfo(dtype).tiny))


def half_the_digits(magnitude: float, dtype: npt.DTypeLike) -> float:
    """How far a result in a narrow dtype may be from the same in a wide one: √eps, half of its digits.

    Rounding of intermediate results is amplified by the condition of the function, which is not known; a function
    that loses more than half of the digits at inputs of ordinary size is not well conditioned but wrong.
    """
    return float(np.sqrt(eps(dtype))) * magnitude + float(np.finfo(dtype).tiny)


def slope(numeric: Derivative, terms: int, magnitude: float) -> float:
    """How far an analytic derivative may be from a numerical one: its uncertainty, and rounding of the sum itself."""
    return DOUBTS * numeric.uncertainty + rounding(terms, magnitude, np.float64)


def network(terms: int, magnitude: float) -> float:
    """How far apart two float64 evaluations of a network's loss and gradient may be that sum in another order.

    Each layer amplifies the rounding of those before it by its own condition, which is not known; 2^20 eps leaves
    twenty of fifty-two bits for it. What these checks look for, a wrong term, is off in the first bits.
    """
    return 2.0**20 * eps(np.float64) * magnitude + rounding(terms, magnitude, np.float64)


def trajectory(dtype: npt.DTypeLike, magnitude: float, steps: int) -> float:
    """How far apart two backends may be after some steps that differ in the order of their sums.

    In float64 the project's promise of 1e-9 after 100 steps. In float32 each step contributes rounding of its own,
    and what is there is amplified like any perturbation of the weights; eps · 64 a step is ten times what
    well-conditioned problems show and a thousandth of what one wrong term does.
    """
    if np.dtype(dtype) == np.float64:
        return TRAJECTORY * magnitude
    return rounding(0, magnitude, dtype) * (1 + steps)


def largest(*arrays: Array) -> float:
    """The largest magnitude among all finite elements; 0 where there are none.

    A NaN or an infinity has no size: were it one, the tolerance made from it would let it pass.

    >>> largest(np.array([np.nan, -2.0]), np.array([np.inf]))
    2.0
    """
    return max((float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a))) for a in arrays), default=0.0)


def worst(actual: Array, expected: Array, allowed: float) -> tuple[int, ...] | None:
    """The index of the element furthest out of tolerance; None where all are within it.

    >>> worst(np.array([1.0, np.nan]), np.array([1.0, 2.0]), allowed=0.5)
    (1,)
    """
    with np.errstate(invalid="ignore"):
        off = np.abs(np.asarray(actual) - np.asarray(expected))
    off = np.where(np.isfinite(off), off, np.inf)
    # Not `off > allowed`: every comparison with NaN is false, and then a NaN tolerance would let all pass.
    if off.size == 0 or (bool((off <= allowed).all()) and np.isfinite(allowed)):
        return None
    return tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
