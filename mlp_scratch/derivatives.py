"""Numerical derivatives along a line: what a gradient is checked against.

A function here is φ(t) -> (value, scale, pieces): the loss at parameters θ + t d, the size of the largest number
that went into it, and which smooth piece each kinked element lies on (ReLU's sign, say). The pieces make the
difference between "the gradient is wrong" and "there is a kink inside the step" a fact instead of a tolerance.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mlp_scratch._types import Array

Line = Callable[[complex], tuple[complex, float, list[Array]]]

FIRST_STEP = 2.0**-7
SMALLEST_STEP = 2.0**-27  # about √eps: below it a one-sided slope is mostly rounding
LEVELS = 7
COMPLEX_STEP = 1e-100
ROUNDINGS = 8.0
"""How many roundings of the largest number involved a value may be off by."""


class Derivative(NamedTuple):
    """φ'(0) lies between `low` and `high`, which differ only at a kink, give or take `uncertainty`."""

    low: float
    high: float
    uncertainty: float

    @property
    def at_kink(self) -> bool:
        """Whether no step small enough to avoid a kink was found: 0 is on it, or too near to tell."""
        return self.low < self.high

    def distance(self, slope: float) -> float:
        """How far `slope` is from the interval; a NaN is infinitely far."""
        if not np.isfinite([slope, self.low, self.high, self.uncertainty]).all():
            return float("inf")
        return max(self.low - slope, slope - self.high, 0.0)


def complex_step(line: Line) -> Derivative:
    """φ'(0) = Im φ(ih) / h, for an analytic φ: no difference is taken, so nothing cancels and h can be tiny.

    W. Squire, G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 1998.

    >>> complex_step(lambda t: (np.exp(t), 1.0, [])).low
    1.0
    """
    value, scale, _ = line(1j * COMPLEX_STEP)
    slope = float(value.imag / COMPLEX_STEP)
    return Derivative(slope, slope, ROUNDINGS * np.finfo(float).eps * max(abs(slope), scale))


def central_difference(line: Line) -> Derivative:
    """φ'(0) by central differences with step control; between its one-sided slopes where 0 is on a kink.

    The first step is shortened until both of its ends lie on the pieces that 0 lies on. From there the step is
    halved and the differences are extrapolated to step 0, until rounding outweighs what halving gains: C. Ridders,
    "Accurate computation of F'(x)", Advances in Engineering Software, 1982.

    >>> slope = central_difference(lambda t: (np.exp(t), 1.0, []))
    >>> bool(abs(slope.low - 1) < 1e-12), slope.at_kink
    (True, False)
    >>> relu = lambda t: (max(t.real, 0.0), 1.0, [np.array(t.real > 0)])
    >>> central_difference(relu)[:2]
    (0.0, 1.0)
    """
    centre, scale, pieces = line(0.0)
    noise = ROUNDINGS * np.finfo(float).eps * scale  # of one value of φ
    h = FIRST_STEP
    while not (_same(line(h)[2], pieces) and _same(line(-h)[2], pieces)):
        h /= 4
        if h < SMALLEST_STEP:
            right, left = float((line(h)[0] - centre).real / h), float((centre - line(-h)[0]).real / h)
            return Derivative(min(left, right), max(left, right), 2 * noise / h)
    return _extrapolated(lambda step: float((line(step)[0] - line(-step)[0]).real / (2 * step)), h, noise)


def _extrapolated(difference: Callable[[float], float], h: float, noise: float) -> Derivative:
    """Ridders' tableau: column k removes the error term h^2k from the differences of column k - 1."""
    above = [difference(h)]
    best, uncertainty = above[0], float("inf")
    for _ in range(1, LEVELS):
        h /= 2
        row = [difference(h)]
        for k, higher in enumerate(above, start=1):
            row.append((4**k * row[-1] - higher) / (4**k - 1))
        # The last two numbers of the row differ 4^k times less than the ends of the two rows: no need to look at both.
        doubt = abs(row[-1] - above[-1]) + noise / h
        if doubt < uncertainty:
            best, uncertainty = row[-1], doubt
        elif doubt > 2 * uncertainty:
            break
        above = row
    return Derivative(best, best, uncertainty)


def _same(a: list[Array], b: list[Array]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
