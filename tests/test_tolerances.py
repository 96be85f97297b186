"""The tolerances are tests' judges, so they are tested first: that they let nothing through."""

import numpy as np
import pytest

from tests import tolerances


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["actual", "expected", "both"])
def test_nothing_that_is_not_finite_passes(bad, side):
    a, b = np.ones(3), np.ones(3)
    if side in ("actual", "both"):
        a[1] = bad
    if side in ("expected", "both"):
        b[1] = bad
    with pytest.raises(AssertionError):
        tolerances.assert_close(a, b, np.inf)


def test_a_tolerance_that_is_not_a_number_fails():
    with pytest.raises(AssertionError):
        tolerances.assert_close([1.0], [1.0], np.nan)


def test_shapes_are_not_broadcast():
    with pytest.raises(AssertionError, match="shape"):
        tolerances.assert_close(np.ones((3, 1)), np.ones(3), 1.0)


def test_the_bound_itself_passes_and_just_above_fails():
    tolerances.assert_close([1.5], [1.0], 0.5)
    with pytest.raises(AssertionError, match=r"name: got 1\.5"):
        tolerances.assert_close([1.5], [1.0], np.nextafter(0.5, 0), "name")


def test_parity_is_relative_to_the_largest_element():
    expected = np.array([1e-20, 100.0])
    tolerances.assert_parity(expected + np.array([9e-11, 0]), expected)
    with pytest.raises(AssertionError):
        tolerances.assert_parity(expected + np.array([2e-10, 0]), expected)


def test_parity_with_zeros_asks_for_zeros():
    tolerances.assert_parity(np.zeros(3), np.zeros(3))
    with pytest.raises(AssertionError):
        tolerances.assert_parity([0.0, 1e-300], np.zeros(2))


@pytest.mark.parametrize(("dtype", "k"), [(np.float16, 40), (np.float32, 300)])
def test_gemm_bound_holds_and_is_not_slack(dtype, k, rng):
    A = rng.normal(size=(40, k)).astype(dtype)
    B = rng.normal(size=(k, 30)).astype(dtype)
    exact = A.astype(np.longdouble) @ B.astype(np.longdouble)
    forwards = np.zeros((40, 30), dtype)
    for column, row in zip(A.T, B, strict=True):
        forwards += np.outer(column, row)  # one rounding a product and one a sum: the plainest order
    bound = tolerances.gemm_bound(A, B, dtype)
    tolerances.assert_close(forwards.astype(np.float64), exact.astype(np.float64), bound)
    # One missing term is far more than rounding, so the bound must see it.
    with pytest.raises(AssertionError):
        tolerances.assert_close((exact - np.outer(A[:, 0], B[0])).astype(np.float64), exact.astype(np.float64), bound)


def test_gemm_bound_refuses_sizes_for_which_it_does_not_hold():
    with pytest.raises(AssertionError, match="does not hold"):
        tolerances.gemm_bound(np.ones((1, 5000)), np.ones((5000, 1)), np.float16)


def test_summation_bound_covers_the_worst_order():
    x = np.array([1.0] + [2.0**-24] * 1000, dtype=np.float32)
    total = np.float32(0)
    for number in x:  # each small term is lost against the 1: the plain order's worst case
        total += number
    exact = float(x.astype(np.float64).sum())
    tolerances.assert_close(float(total), exact, tolerances.summation_bound(len(x), np.abs(x).sum(), np.float32))


def test_statistical_bounds_know_their_distributions():
    n = 100_000
    draws = np.random.default_rng(0).uniform(-1, 1, n)
    tolerances.assert_close(draws.mean(), 0.0, tolerances.mean_bound(1 / np.sqrt(3), n))
    tolerances.assert_close(draws.var(), 1 / 3, tolerances.variance_bound(1 / 3, 9 / 5, n))
    with pytest.raises(AssertionError):
        tolerances.assert_close(draws.var() * 1.02, 1 / 3, tolerances.variance_bound(1 / 3, 9 / 5, n))
    with pytest.raises(AssertionError):
        tolerances.assert_close(draws.mean() + 0.02, 0.0, tolerances.mean_bound(1 / np.sqrt(3), n))


def test_difference_bound_covers_a_cubic():
    h = 2.0**-10
    difference = ((1 + h) ** 3 - (1 - h) ** 3) / (2 * h)
    tolerances.assert_close(difference, 3.0, tolerances.difference_bound(h, 6.0, 1.01, 3.0))
    assert tolerances.difference_bound(h, 6.0, 1.01, 3.0) < 2 * h * h
