"""Numerical directional derivatives of a `Function`, and what they are at a kink.

At a kink backward has to choose, and which choice is right can be known. A function that declares its pieces
(ReLU: x > 0 or not) says on which piece the kink itself lies: the derivative is then that piece's. One that doesn't
is differentiated from both sides, and `at_kink` says which side counts.

Where any side may count, each element of y may have chosen for itself: of Σ u_j y_j with slopes l_j and r_j to the left
and the right, all from Σ min(u_j l_j, u_j r_j) to Σ max(u_j l_j, u_j r_j) is right, more than lies between the two
slopes of the sum. So each element is differentiated alone.
"""

from typing import NamedTuple

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.derivatives import DOUBTS, Derivative, Limits, Line, Samples, complex_step
from mlp_scratch.testing.function import Arrays, AtKink, Function


class Slopes(NamedTuple):
    """The derivative of each term u_j y_j lies between its `low` and its `high`, give or take its `uncertainty`."""

    low: Array
    high: Array
    uncertainty: Array

    @property
    def total(self) -> Derivative:
        """The derivative of the sum."""
        return Derivative(float(self.low.sum()), float(self.high.sum()), float(self.uncertainty.sum()))


def derivative(
    function: Function, inputs: Arrays, direction: Arrays, u: Array, size: float = 1.0, sizes_of_y: Array | float = 0.0
) -> Slopes:
    """d/dt of the terms of Σ u · f(inputs + t direction) at t = 0; intervals where any choice is right.

    `size` is how large t has to be to change what it moves by its own size, `sizes_of_y` how large the numbers are that
    each element of y is made of: a small one that is left of large ones has the roundings of those, and on short steps
    it stands still.
    """
    line = line_through(function, inputs, direction, u, 0.0 if function.analytic else sizes_of_y)
    if function.analytic:
        exact = complex_step(lambda t: _summed(line(t)))
        return Slopes(*(np.array([part]) for part in exact))
    around = float(np.max(np.abs(u) * np.maximum(sizes_of_y, 1.0), initial=0.0))  # 1 is in most formulas
    samples = Samples(line, max(size, 1.0), size, around)
    if not samples.here:  # no pieces are declared
        return _chosen(samples.left(), samples.right(), samples.both(), function.at_kink)
    return _of_declared_piece(samples, function.at_kink) if samples.beside_kink else _slope(samples.both())


def declared(function: Function, inputs: Arrays) -> list[Array]:
    """The pieces that a function declares; none where it has no kinks, or says nothing of them."""
    return [] if function.pieces is None else function.pieces(inputs)


def line_through(
    function: Function, inputs: Arrays, direction: Arrays, u: Array, sizes_of_y: Array | float = 0.0
) -> Line:
    """φ(t) = u · f(inputs + t direction), element by element, as `mlp_scratch.derivatives` takes it."""
    least = np.ravel(np.abs(u) * sizes_of_y)

    def line(t: complex) -> tuple[Array, Array, list[Array]]:
        moved = {k: v + t * direction[k] if k in direction else v.copy() for k, v in inputs.items()}
        terms = np.ravel(u * function(moved))
        return terms, np.maximum(np.abs(terms), least), declared(function, moved)

    return line


def _summed(values: tuple[Array, Array, list[Array]]) -> tuple[complex, float, list[Array]]:
    return complex(values[0].sum()), float(values[1].sum()), values[2]


def _slope(limits: Limits) -> Slopes:
    return Slopes(limits.values, limits.values, limits.doubts)


def _of_declared_piece(samples: Samples, at_kink: AtKink) -> Slopes:
    """The slope on the side that lies on the same piece as the kink itself; where neither does, what `at_kink` says."""
    on_left, on_right = np.any(samples.same_piece, axis=0)
    left, right = samples.left(own_piece=False), samples.right(own_piece=False)
    if on_left != on_right:
        return _slope(left if on_left else right)
    return _chosen(left, right, samples.both(), at_kink)


def _mean(left: Limits, right: Limits) -> Slopes:
    middle = (left.values + right.values) / 2
    return Slopes(middle, middle, np.maximum(left.doubts, right.doubts))


def _chosen(left: Limits, right: Limits, both: Limits, at_kink: AtKink) -> Slopes:
    """Where the sides differ by more than their doubts, what `at_kink` says; elsewhere the surest of all three."""
    with np.errstate(invalid="ignore"):
        kink = np.abs(left.values - right.values) > DOUBTS * (left.doubts + right.doubts)
    values, doubts = (np.stack(parts) for parts in zip(left, right, both, strict=True))
    surest = doubts.argmin(axis=0)[np.newaxis]
    value, doubt = (np.take_along_axis(a, surest, axis=0)[0] for a in (values, doubts))
    if at_kink == "any":
        low, high = np.minimum(left.values, right.values), np.maximum(left.values, right.values)
        at = Slopes(low, high, np.maximum(left.doubts, right.doubts))
    else:
        at = _mean(left, right) if at_kink == "mean" else _slope(left if at_kink == "left" else right)
    return Slopes(*(np.where(kink, a, b) for a, b in zip(at, (value, value, doubt), strict=True)))
