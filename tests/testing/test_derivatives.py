"""Numerical derivatives, and what they know about their own errors."""

import numpy as np
import pytest

from mlp_scratch.derivatives import (
    COMPLEX_STEP,
    FIRST_STEP,
    LEVELS,
    ROUNDINGS,
    SMALLEST_STEP,
    Derivative,
    _extrapolated,
    central_difference,
    complex_step,
)

EPS = float(np.finfo(float).eps)
SMOOTH = {
    "exp": (np.exp, 1.0),
    "sin": (lambda t: 3 * np.sin(t), 3.0),
    "a cube": (lambda t: (t + 2) ** 3, 12.0),
    "a fast wave": (lambda t: np.sin(20 * t), 20.0),
    "a line": (lambda t: -5 * t, -5.0),
}


def test_steps_and_bounds():
    assert (FIRST_STEP, SMALLEST_STEP, LEVELS) == (2.0**-7, 2.0**-27, 7)
    assert (COMPLEX_STEP, ROUNDINGS) == (1e-100, 8.0)


@pytest.mark.parametrize("name", SMOOTH)
def test_a_complex_step_is_exact(name):
    function, slope = SMOOTH[name]
    found = complex_step(lambda t: (function(t), 1.0, []))
    assert abs(found.low - slope) <= 2 * EPS * abs(slope)
    assert found.high == found.low
    assert not found.at_kink


def test_a_complex_step_errs_by_roundings_of_the_largest_number():
    found = complex_step(lambda t: (0.5 * t, 4.0, []))
    assert found == (0.5, 0.5, ROUNDINGS * EPS * 4)
    found = complex_step(lambda t: (-0.5 * t, 0.125, []))
    assert found == (-0.5, -0.5, ROUNDINGS * EPS * 0.5)


@pytest.mark.parametrize("name", SMOOTH)
def test_a_difference_is_off_by_no_more_than_it_says(name):
    function, slope = SMOOTH[name]
    found = central_difference(lambda t: (function(t), abs(function(0.0)) + 1, []))
    assert found.low == found.high
    assert abs(found.low - slope) <= 4 * found.uncertainty
    assert found.uncertainty <= 2e-10 * abs(slope)


def test_of_a_constant_only_the_noise_is_left():
    """Rounding over a step: the smallest at the first halving, where two differences agree for the first time."""
    found = central_difference(lambda t: (7.0, 3.0, []))
    assert found == (0.0, 0.0, ROUNDINGS * EPS * 3.0 / (FIRST_STEP / 2))


def test_halving_ends_where_rounding_takes_over():
    steps = []

    def noisy(t):
        steps.append(abs(t.real))
        return t + 1e-9 * np.sin(1e12 * t.real), 1.0, []

    found = central_difference(noisy)
    assert abs(found.low - 1) <= 1e-5
    assert min(step for step in steps if step) > FIRST_STEP / 2**6  # it gave up before the last level


def test_all_levels_are_used_where_they_gain():
    steps = []

    def wave(t):
        steps.append(t.real)
        return np.sin(200 * t), 1.0, []

    found = central_difference(wave)
    assert abs(found.low - 200) <= 4 * found.uncertainty
    assert found.uncertainty < 1e-7
    assert min(abs(step) for step in steps if step) == FIRST_STEP / 2**6
    assert set(steps) - {0.0} == {sign * FIRST_STEP / 2**k for sign in (1, -1) for k in range(7)}


def differences_of(ends):
    """Such that row k of Ridders' tableau ends in ends[k]: its formula the other way round."""
    rows = [[ends[0]]]
    for end in ends[1:]:
        row = [end]
        for k in range(len(rows), 0, -1):
            row.insert(0, ((4**k - 1) * row[0] + rows[-1][k - 1]) / 4**k)
        rows.append(row)
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("ends", "best", "uncertainty"),
    [
        ([2.0, 1.0, 100.0], 1.0, 1.0),
        ([2.0, 1.0, 0.0, 100.0], 1.0, 1.0),  # no surer: the shorter way is kept
        ([2.0, 1.0, 3.0, 3.0, 100.0], 3.0, 0.0),  # twice as unsure: that may pass
        ([2.0, 1.0, 3.5, 3.5, 100.0], 1.0, 1.0),  # more: rounding has taken over
    ],
)
def test_the_surest_row_of_the_tableau_is_taken(ends, best, uncertainty):
    differences = dict(zip([1.0, 0.5, 0.25, 0.125, 0.0625], differences_of(ends), strict=False))
    assert _extrapolated(differences.__getitem__, 1.0, 0.0) == (best, best, uncertainty)


def relu(corner, left=0.25, right=3.0):
    return lambda t: (
        right * (t.real - corner) if t.real > corner else left * (t.real - corner),
        1.0,
        [np.array([0.0]), np.array(t.real > corner)],
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_at_a_corner_the_slope_lies_between_those_of_both_sides(sign):
    left, right = sorted((0.25 * sign, 3.0 * sign), reverse=sign < 0)
    found = central_difference(relu(0.0, left, right))
    h = FIRST_STEP
    while h >= SMALLEST_STEP:
        h /= 4
    assert found == (min(left, right), max(left, right), 2 * ROUNDINGS * EPS / h)
    assert found.at_kink
    assert found.distance(1.0 * sign) == 0


@pytest.mark.parametrize(
    ("corner", "slope"), [(2.0**-10, 0.25), (-(2.0**-10), 3.0), (2.0**-25, 0.25), (-(2.0**-25), 3.0)]
)
def test_a_corner_beside_is_stepped_around(corner, slope):
    found = central_difference(relu(corner))
    assert not found.at_kink
    assert abs(found.low - slope) <= found.uncertainty + 1e-12


def test_steps_are_as_long_as_corners_allow():
    steps = []

    def line(t):
        steps.append(abs(t.real))
        return relu(2.0**-10)(t)

    central_difference(line)
    used = [step for step in steps if step]
    assert max(used) == FIRST_STEP
    assert FIRST_STEP / 4 in used
    assert FIRST_STEP / 2 not in used


def test_the_distance_from_an_interval():
    d = Derivative(-1.0, 2.0, 0.5)
    assert [d.distance(x) for x in (-3.0, -1.0, 0.0, 2.0, 2.5)] == [2.0, 0.0, 0.0, 0.0, 0.5]
    for bad in (float("nan"), float("inf"), -float("inf")):
        assert d.distance(bad) == float("inf")
        assert d._replace(low=bad).distance(0.0) == float("inf")
        assert d._replace(high=bad).distance(0.0) == float("inf")
        assert d._replace(uncertainty=bad).distance(0.0) == float("inf")
    assert not Derivative(1.0, 1.0, 0.0).at_kink


def test_pieces_are_told_apart_by_every_array():
    """A corner that only the second array knows of, and as many arrays on both sides."""

    def line(t):
        return abs(t.real), 1.0, [np.array([1.0, 2.0]), np.sign(np.array([1.0, t.real]))]

    assert central_difference(line)[:2] == (-1.0, 1.0)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        central_difference(lambda t: (1.0, 1.0, [np.zeros(1)] * (1 + (t != 0))))


def test_the_slopes_of_a_corner_are_those_of_a_difference():
    """Above a value that is not 0."""

    def line(t):
        value, scale, pieces = relu(0.0)(t)
        return value + 0.5, scale, pieces

    found = central_difference(line)
    assert abs(found.low - 0.25) <= found.uncertainty
    assert abs(found.high - 3.0) <= found.uncertainty
