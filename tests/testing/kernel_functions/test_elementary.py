"""exp, log and what is made of them, beside NumPy's in long double."""

import numpy as np
import pytest
from scipy.special import erfcx, ndtr

from mlp_kernels.cpu import elementary
from tests.testing.exact_functions import EXACT
from tests.testing.kernel_calls import DTYPES, over_numbers
from tests.tolerances import assert_close, eps

pytestmark = pytest.mark.filterwarnings("ignore:(over|under)flow encountered:RuntimeWarning")


def where_it_holds(name, dtype):
    """Numbers in a function's range, dense enough to meet each of its cases."""
    if name == "log":
        return np.exp(np.linspace(-20, 20, 161))
    if name == "log1p":
        return np.concatenate([np.linspace(0, 1, 41), 2.0 ** -np.arange(1, 40)])
    far = np.log(np.finfo(dtype).max) - 1
    return np.concatenate([np.linspace(-3, 3, 97), np.linspace(-far, far, 41), [1e-5, -1e-5, 2.0**-26, 0.0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_an_elementary_function_errs_by_a_few_roundings(name, dtype):
    x = where_it_holds(name, dtype).astype(dtype)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
        got = over_numbers(getattr(elementary, name))(x)
    assert_close(got, exact.astype(dtype), 3 * eps(dtype) * np.abs(exact) + np.finfo(dtype).tiny, name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_adding_one_lost_is_put_back(dtype):
    """Below log 2 a unit in the last place is eps / 2: the logarithm errs by one, rounding the sum by half of one."""
    x = np.linspace(0.5, 1, 401).astype(dtype)
    assert_close(over_numbers(elementary.log1p)(x), np.log1p(x.astype(np.longdouble)), 0.75 * eps(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_exponential_going_down_is_one_that_ends_at_zero(dtype):
    x = -np.geomspace(1e-9, 87.0 if dtype == "float32" else 708.0, 4001).astype(dtype)
    assert_close(over_numbers(elementary.exp_down)(x), np.exp(x.astype(np.longdouble)), 1.5 * eps(dtype) * np.exp(x))
    far = np.array([-88.0 if dtype == "float32" else -709.0, -1e30, -np.inf, 0.0, np.nan], dtype)
    with np.errstate(all="ignore"):
        got = over_numbers(elementary.exp_down)(far)
    assert got[:4].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert np.isnan(got[4])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "softplus"])
def test_an_elementary_function_holds_for_every_number(name, dtype):
    ends = {"exp": (0.0, np.inf), "tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "softplus": (0.0, np.inf)}[name]
    denormal = (-99.5, -100.0, -103.0) if dtype == "float32" else (-744.0, -730.0, -720.0)
    x = np.array([-np.inf, np.inf, -1e5, 1e5, *denormal, np.nan], dtype)
    with np.errstate(all="ignore"):
        got = over_numbers(getattr(elementary, name))(x)
        exact = EXACT[name](np.array(denormal, np.longdouble))
    assert got[:4].tolist() == [*ends, ends[0], x[3] if name == "softplus" else ends[1]]
    assert np.isnan(got[-1])
    assert_close(got[4:-1], exact, np.finfo(dtype).smallest_subnormal + eps(dtype) * np.abs(exact))


@pytest.mark.parametrize("degree", [1, 4, 9])
def test_the_tail_is_interpolated_at_chebyshevs_nodes(degree):
    t = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    x = elementary.TAIL_CENTRE * (1 + t) / (1 - t)
    assert_close(np.polyval(elementary._tail_coefficients(degree), t), (1 + x) * erfcx(x), 1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_normal_distribution_errs_by_what_it_promises(dtype):
    """Of the smaller tail, by 32 + x² units in its last place; of the larger by the rounding of a subtraction."""
    x = np.concatenate([np.linspace(-12, 9, 211), [-1e-6, 0.0, 1e-6]]).astype(dtype)
    exact = ndtr(x.astype(np.float64))
    tail = np.minimum(exact, ndtr(-x.astype(np.float64)))
    got = over_numbers(elementary.normal_cdf)(x)
    assert_close(got, exact, (36 + x.astype(np.float64) ** 2) * eps(dtype) * tail + eps(dtype) * exact)
    with np.errstate(all="ignore"):
        special = over_numbers(elementary.normal_cdf)(np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], dtype))
    assert np.array_equal(special, [np.nan, 1, 0, 1, 0], equal_nan=True)
