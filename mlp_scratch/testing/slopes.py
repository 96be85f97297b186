"""Numerical directional derivatives of a `Function`, and what they are at a kink.

At a kink backward has to choose, and which choice is right can be known. A function that declares its pieces
(ReLU: x > 0 or not) says on which piece the kink itself lies: the derivative is then that piece's. One that doesn't
is differentiated from both sides, and `at_kink` says which side counts.
"""

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.derivatives import FIRST_STEP, SMALLEST_STEP, Derivative, Line, central_difference, complex_step
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.function import Arrays, AtKink, Function

LEVELS = 10
"""Halvings of the step of a one-sided difference."""


def derivative(function: Function, inputs: Arrays, direction: Arrays, u: Array) -> Derivative:
    """d/dt Σ u · f(inputs + t direction) at t = 0, with its uncertainty; an interval where any choice is right."""
    line = line_through(function, inputs, direction, u)
    if function.analytic:
        return complex_step(line)
    if function.pieces is not None:
        slope = central_difference(line)
        return _of_declared_piece(line, slope, function.at_kink) if slope.at_kink else slope
    left, right = _one_sided(line, -1), _one_sided(line, 1)
    doubt = tolerances.DOUBTS * (left.uncertainty + right.uncertainty)
    if abs(left.low - right.low) <= doubt:
        return central_difference(line)
    return _chosen(left, right, function.at_kink)


def line_through(function: Function, inputs: Arrays, direction: Arrays, u: Array) -> Line:
    """φ(t) = Σ u · f(inputs + t direction), as `mlp_scratch.derivatives` takes it."""

    def line(t: complex) -> tuple[complex, float, list[Array]]:
        moved = {k: v + t * direction[k] if k in direction else v.copy() for k, v in inputs.items()}
        terms = u * function(moved)
        pieces = [] if function.pieces is None else function.pieces(moved)
        return complex(terms.sum()), float(np.abs(terms).sum()), pieces

    return line


def _of_declared_piece(line: Line, slope: Derivative, at_kink: AtKink) -> Derivative:
    """The slope on the side that lies on the same piece as the kink itself; where neither does, what `at_kink` says."""
    _, _, here = line(0.0)
    sides = [
        sign
        for sign in (-1, 1)
        if all(np.array_equal(a, b) for a, b in zip(here, line(sign * SMALLEST_STEP)[2], strict=True))
    ]
    if len(sides) == 1:
        return _one_sided(line, sides[0])
    return _chosen(_one_sided(line, -1), _one_sided(line, 1), at_kink)


def _chosen(left: Derivative, right: Derivative, at_kink: AtKink) -> Derivative:
    if at_kink == "left":
        return left
    if at_kink == "right":
        return right
    uncertainty = max(left.uncertainty, right.uncertainty)
    if at_kink == "mean":
        middle = (left.low + right.low) / 2
        return Derivative(middle, middle, uncertainty)
    return Derivative(min(left.low, right.low), max(left.low, right.low), uncertainty)


def _one_sided(line: Line, side: int) -> Derivative:
    """The derivative from one side: forward differences, extrapolated to step 0 as Ridders does central ones."""
    centre, scale, _ = line(0.0)
    noise = 8 * tolerances.eps(np.float64) * scale
    h = FIRST_STEP
    above = [_difference(line, centre, side * h)]
    best, uncertainty = above[0], float("inf")
    for _ in range(1, LEVELS):
        h /= 2
        row = [_difference(line, centre, side * h)]
        for k, higher in enumerate(above, start=1):
            row.append((2**k * row[-1] - higher) / (2**k - 1))  # the error series has every power of h
        doubt = max(abs(row[-1] - row[-2]), abs(row[-1] - above[-1])) + 2 * noise / h
        if doubt < uncertainty:
            best, uncertainty = row[-1], doubt
        above = row
    return Derivative(best, best, uncertainty)


def _difference(line: Line, centre: complex, step: float) -> float:
    return float((line(step)[0] - centre).real / step)
