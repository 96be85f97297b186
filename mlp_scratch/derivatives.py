"""Numerical derivatives along a line: what a gradient is checked against.

A function here is φ(t) -> (values, scales, pieces): what is differentiated at parameters θ + t d, one number or
several; the size of the largest number that went into each; and which smooth piece each kinked element lies on (ReLU's
sign, say). The pieces make the difference between "the gradient is wrong" and "there is a kink inside the step" a fact
instead of a tolerance; where they are not known the slopes of both sides tell.

The differences (φ(h) - φ(0)) / h of ever smaller steps h are extrapolated to step 0: C. Ridders, "Accurate computation
of F'(x)", Advances in Engineering Software, 1982. How far each extrapolation may be off is estimated from those it is
made of. That estimate is fooled by large steps: a wave of which each step is a whole number of periods looks constant,
and a kink within a step bends the line. So the smaller steps have the last word: a result is believed only if those of
all smaller steps agree with it, each within its own doubt (O. Lepskii, "On a problem of adaptive estimation in Gaussian
white noise", Theory of Probability and its Applications, 1991, chooses a bandwidth so). Where nothing converges, at a
jump or on a wave shorter than every step, the doubt is infinite: nothing is known.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mlp_scratch._types import Array

Line = Callable[[complex], tuple[Any, Any, list[Array]]]

FIRST_STEP = 2.0**-7
SMALLEST_STEP = 2.0**-27  # about √eps: below it a one-sided slope is mostly rounding
TINIEST_STEP = 2.0**-60  # where nothing has converged before
SHRINK = 4
"""How many times smaller each step is than the one before."""

LEVELS = 11
"""Steps from the first to the smallest."""

ORDER = 4
"""How many error terms are extrapolated away at most: more of them only add rounding."""

COMPLEX_STEP = 1e-100
EPS = float(np.finfo(float).eps)
ROUNDINGS = 8.0
"""How many roundings of the largest number involved a value may be off by."""

HIDDEN = 2.0**-40
"""Roundings that φ's own size doesn't tell of are those of numbers up to about 4,000 times as large as 1."""

DOUBTS = 8.0
"""How many times its own estimated uncertainty a numerical derivative may be wrong."""

GROWS = 1.5
"""Differences that grow by this factor from each step to the next have no limit: those at a jump by 4, at √|t| by 2."""

NO_NOISE = 2.0**-10
"""What shows as noise of more than this share of φ is φ itself, which changes faster than the smallest step tells."""


class Derivative(NamedTuple):
    """φ'(0) lies between `low` and `high`, which differ only at a kink, give or take `uncertainty`."""

    low: float
    high: float
    uncertainty: float

    @property
    def at_kink(self) -> bool:
        """Whether no step small enough to avoid a kink was found: 0 is on it, or too near to tell."""
        return self.low < self.high

    @property
    def known(self) -> bool:
        """Whether anything is known at all: not beside a jump, say, or where φ is not finite."""
        return bool(np.isfinite([self.low, self.high, self.uncertainty]).all())

    def distance(self, slope: float) -> float:
        """How far `slope` is from the interval; a NaN is infinitely far."""
        if not (np.isfinite(slope) and self.known):
            return float("inf")
        return max(self.low - slope, slope - self.high, 0.0)


class Limits(NamedTuple):
    """Derivatives of several values, each with its doubt, infinite where there is no limit."""

    values: Array
    doubts: Array


def complex_step(line: Line) -> Derivative:
    """φ'(0) = Im φ(ih) / h, for an analytic φ: no difference is taken, so nothing cancels and h can be tiny.

    W. Squire, G. Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 1998.

    >>> complex_step(lambda t: (np.exp(t), 1.0, [])).low
    1.0
    """
    value, scale, _ = line(1j * COMPLEX_STEP)
    slope = float(value.imag / COMPLEX_STEP)
    return Derivative(slope, slope, ROUNDINGS * EPS * max(abs(slope), scale))


def central_difference(line: Line) -> Derivative:
    """φ'(0) of one value by differences; between its one-sided slopes where 0 is on a kink between declared pieces.

    >>> slope = central_difference(lambda t: (np.exp(t), 1.0, []))
    >>> bool(abs(slope.low - 1) < 1e-11), slope.at_kink
    (True, False)
    >>> relu = lambda t: (max(t.real, 0.0), 1.0, [np.array(t.real > 0)])
    >>> central_difference(relu)[:2]
    (0.0, 1.0)
    """
    samples = Samples(line)
    if not samples.beside_kink:
        return _one(samples.both())
    left, right = _one(samples.left(own_piece=False)), _one(samples.right(own_piece=False))
    return Derivative(min(left.low, right.low), max(left.low, right.low), max(left.uncertainty, right.uncertainty))


def _one(limits: Limits) -> Derivative:
    value = float(limits.values.sum())
    return Derivative(value, value, float(limits.doubts.sum()))


class Samples:
    """φ at 0 and at ±h for ever smaller steps h.

    Args:
        line: φ.
        length: how far t has to go to change the point by its own size; 1 for a point of ordinary size.
        nearest: the same as `length`, but not rounded up to 1 where the point is near 0: how short steps may get.
        around: the size of the numbers on the way to the values. Where one is tiny beside it, steps so short that they
            would not show in a number of that size are not asked: the value may be what is left of a difference of
            such numbers, and stand still on them.
    """

    def __init__(self, line: Line, length: float = 1.0, nearest: float = 1.0, around: float = 0.0) -> None:
        self.line, self.length, self.around = line, length, around
        with np.errstate(all="ignore"):  # steps may leave the domain: what is not finite there is not used
            centre, scale, self.here = line(0.0)
            self.centre, self.scale = np.atleast_1d(np.real(centre)), np.atleast_1d(scale)
            self.steps, self.same_piece = np.empty(0), np.empty((0, 2), dtype=bool)
            self.ends = np.empty((0, 2, self.centre.size))
            self._add(LEVELS)
            smallest = max(SMALLEST_STEP * 2.0**-12 * nearest, TINIEST_STEP)
            while self.steps[-1] > smallest and self._unsettled():
                self._add(LEVELS // 2)

    @property
    def beside_kink(self) -> bool:
        """Whether each step meets another declared piece on one side at least."""
        return not self.same_piece.all(axis=1).any()

    def left(self, *, own_piece: bool = True) -> Limits:
        """The derivatives from the left, by steps on the piece that 0 lies on, or by any."""
        return self._limits(self._differences(0), SHRINK, self.same_piece[:, 0] if own_piece else None)

    def right(self, *, own_piece: bool = True) -> Limits:
        """The derivatives from the right."""
        return self._limits(self._differences(1), SHRINK, self.same_piece[:, 1] if own_piece else None)

    def both(self) -> Limits:
        """The derivatives by central differences: their errors have no odd powers of h."""
        differences = (self.ends[:, 1] - self.ends[:, 0]) / (2 * self.steps[:, np.newaxis])
        return self._limits(differences, SHRINK**2, np.asarray(self.same_piece.all(axis=1)))

    def _differences(self, side: int) -> Array:
        return (self.ends[:, side] - self.centre) / ((2 * side - 1) * self.steps[:, np.newaxis])

    def _add(self, levels: int) -> None:
        first = self.steps[-1] / SHRINK if self.steps.size else FIRST_STEP * self.length
        steps = first / float(SHRINK) ** np.arange(levels)
        found = [(self.line(-h), self.line(h)) for h in steps.tolist()]
        ends = np.array([[np.real(value) for value, _, _ in pair] for pair in found]).reshape(levels, 2, -1)
        same = [[_same(there, self.here) for _, _, there in pair] for pair in found]
        self.steps = np.append(self.steps, steps)
        self.ends = np.append(self.ends, ends, axis=0)
        self.same_piece = np.append(self.same_piece, same, axis=0)

    def _unsettled(self) -> bool:
        """Whether shorter steps may tell more.

        They may where differences of the smallest still change by more than roundings, and ever less: those that
        rounding changes change ever more.
        """
        if self.here:  # at a declared kink no step helps, and three are enough beside it
            return 0 < self.same_piece.all(axis=1).sum() < 3
        for side in (0, 1):
            differences = self._differences(side)
            shown, known = self._shown(differences, SHRINK), self._roundings()[-1]
            share = NO_NOISE * np.abs(differences[-1]) * self.steps[-1]
            one, other = np.abs(np.diff(differences[-3:], axis=0))
            small = (shown <= known / NO_NOISE) | (shown <= share) | (other >= one)
            if not (np.isfinite(shown) & small).all():
                return True
        return False

    def _roundings(self) -> Array:
        """By how much values may be off at each step: a rounding of what moves counts as much as φ changes with it.

        φ may come of larger numbers that have cancelled, 1 + tanh of -10, say. Then the smallest steps change nothing,
        and the least change that there is is a rounding.
        """
        changes = np.abs(self.ends - self.centre).max(axis=1)
        least = np.min(changes, axis=0, initial=np.inf, where=changes > 0)
        hidden = (changes[-1] == 0) & (least <= HIDDEN * (1 + self.scale))
        roundings = ROUNDINGS * EPS * np.fmax(self.scale, self.length * changes / self.steps[:, np.newaxis])
        return np.asarray(np.fmax(roundings, np.where(hidden, least, 0.0)))

    def _shown(self, differences: Array, ratio: float) -> Array:
        """The noise that the smallest steps show: what extrapolation can't remove of how their differences differ."""
        column, steps = differences[-5:], self.steps[-2:, np.newaxis]
        shown = np.full(self.centre.shape, np.inf)
        for order in range(3):
            changes = np.abs(column[-2:] - column[-3:-1]) * steps
            shown = np.fmin(shown, changes.max(axis=0))
            column = _extrapolated(column, ratio ** (order + 1))
        return shown

    def _limits(self, differences: Array, ratio: float, own: Array | None) -> Limits:
        """The limits of differences, (levels, n), for step 0; their errors fall by `ratio`, `ratio`², ... a level."""
        with np.errstate(all="ignore"):
            if own is not None and not own.all():
                differences[~own] = np.nan
            shown = self._shown(differences, ratio)
            values, spreads = np.zeros_like(differences), np.full(differences.shape, np.inf)
            column = differences
            for order in range(1, ORDER + 1):
                higher = _extrapolated(column, ratio**order)
                spread = np.maximum(np.abs(higher - column[1:]), np.abs(higher - column[:-1]))
                better = spread < spreads[order:]
                np.copyto(values[order:], higher, where=better)
                np.copyto(spreads[order:], spread, where=better)
                column = higher
            doubts = spreads + 2 * np.fmax(self._roundings(), shown) / self.steps[:, np.newaxis]
            doubtful = doubts + 2 * ROUNDINGS * EPS * self.around / self.steps[:, np.newaxis]
            reach = DOUBTS * doubtful
            least = np.maximum.accumulate((values - reach)[::-1])[::-1]  # of all smaller steps
            most = np.minimum.accumulate((values + reach)[::-1])[::-1]
            doubts[~(least <= most)] = doubtful[~(least <= most)] = np.inf
            level = doubtful.argmin(axis=0), np.arange(doubts.shape[1])
            doubt = doubts[level]
            doubt[self._lost(np.abs(differences), shown)] = np.inf
            return Limits(values[level], doubt)

    def _lost(self, sizes: Array, shown: Array) -> Array:
        """Where there is no limit: the differences grow with each step, or φ jumps about between the smallest.

        A jump that roundings alone could make is none: a sum that cancels may stand still but for one of them.
        """
        jumps = sizes[-1] * self.steps[-1] > self._roundings()[-1]
        grows = ((sizes[1:] > GROWS * sizes[:-1]) | np.isnan(sizes[:-1])).all(axis=0) & jumps
        reach = np.nan_to_num(np.abs(self.ends - self.centre), posinf=0.0).max(axis=(0, 1))
        return np.asarray(grows | (shown > NO_NOISE * np.maximum(reach, np.abs(self.centre))))


def _extrapolated(column: Array, ratio: float) -> Array:
    """The next column of Ridders' tableau: without the error term that falls by `ratio` from step to step."""
    return np.asarray(column[1:] + (column[1:] - column[:-1]) / (ratio - 1))


def _same(a: list[Array], b: list[Array]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
