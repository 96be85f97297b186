"""Numerical derivatives, and what they know about their own errors."""

import numpy as np
import pytest

from mlp_scratch.derivatives import (
    COMPLEX_STEP,
    FIRST_STEP,
    LEVELS,
    ROUNDINGS,
    SHRINK,
    SMALLEST_STEP,
    Derivative,
    Samples,
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
    assert (FIRST_STEP, SMALLEST_STEP, LEVELS, SHRINK) == (2.0**-7, 2.0**-27, 11, 4)
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
    assert found == (0.0, 0.0, 2 * ROUNDINGS * EPS * 3.0 / (FIRST_STEP / 4))


def test_noise_that_no_scale_tells_of_shows():
    rng = np.random.default_rng(0)
    found = central_difference(lambda t: (t + 1e-9 * rng.normal(), 1e-3, []))
    assert abs(found.low - 1) <= 8 * found.uncertainty
    assert 1e-9 < found.uncertainty < 1e-5


def test_the_smallest_step_is_always_looked_at():
    steps = []
    central_difference(lambda t: (steps.append(abs(t.real)) or 2 * t, 1.0, []))
    assert min(step for step in steps if step) == SMALLEST_STEP
    assert len(steps) == 2 * LEVELS + 1


@pytest.mark.parametrize("factor", [300, 1600, 2500, 2.0**12 * np.pi, 1e6])
def test_a_wave_shorter_than_the_first_steps_is_no_constant(factor):
    """Some of these steps are whole periods."""
    for at in (0.0, 0.25, 0.3):
        found = central_difference(lambda t, at=at: (np.sin(factor * (t + at)), 1.0, []))
        assert abs(found.low - factor * np.cos(factor * at)) <= 8 * found.uncertainty
        assert found.uncertainty <= 1e-5 * factor


@pytest.mark.parametrize(
    ("function", "slope", "at"),
    [(np.log, 1e3, 1e-3), (np.log, 1e7, 1e-7), (np.arcsin, 1 / np.sqrt(1 - 0.9999**2), 0.9999)],
)
def test_steps_that_leave_the_domain_are_not_used(function, slope, at):
    samples = Samples(lambda t: (function(at + t), abs(function(at)), []), 1.0, at)
    for limits in (samples.left(), samples.right(), samples.both()):
        assert abs(limits.values[0] - slope) <= 8 * limits.doubts[0] <= 1e-3 * slope


@pytest.mark.parametrize("function", [np.floor, np.sign, lambda t: np.sqrt(np.maximum(t, 0.0))])
def test_beside_a_jump_nothing_is_known(function):
    limits = [Samples(lambda t: (function(t), 1.0, [])).left(), Samples(lambda t: (function(-t), 1.0, [])).right()]
    if function(-1.0) == 0:  # the root has its jump on the other side
        limits = [Samples(lambda t: (function(t), 1.0, [])).right()]
    assert all(np.isinf(side.doubts).all() for side in limits)
    assert not Derivative(0.0, 0.0, float("inf")).known


def test_each_of_several_values_has_a_slope_of_its_own():
    def line(t):
        return np.array([np.exp(t.real), max(t.real, 0.0), 3.0]), np.ones(3), []

    samples = Samples(line)
    assert np.allclose(samples.left().values, [1.0, 0.0, 0.0], atol=1e-9)
    assert np.allclose(samples.right().values, [1.0, 1.0, 0.0], atol=1e-9)


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
    assert found[:2] == pytest.approx((min(left, right), max(left, right)), rel=1e-12)
    assert found.at_kink
    assert found.distance(1.0 * sign) == 0


@pytest.mark.parametrize(("roundings", "known"), [(1, True), (1000, False)])
def test_a_jump_of_one_rounding_is_none(roundings, known):
    """The losses of six samples whose slopes cancel, say: their sum stands still but for a rounding."""
    found = central_difference(lambda t: (1 + roundings * EPS * (t.real > 0), 1.0, []))
    assert found.known is known
    assert not known or found.distance(0.0) <= found.uncertainty < 1e-8


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
