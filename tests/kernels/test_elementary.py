"""The compiled elementary functions at random numbers of both types.

Each of their cases is met in `tests/testing/kernel_functions`, of one type only: to compile them takes seconds.
"""

import numpy as np
import pytest
from scipy.special import ndtr

from mlp_kernels.cpu import elementary
from tests.testing.exact_functions import EXACT
from tests.testing.kernel_calls import over_numbers
from tests.tolerances import assert_close, eps


@pytest.fixture(scope="module", params=EXACT)
def elementwise(request):
    return request.param, over_numbers(getattr(elementary, request.param)), EXACT[request.param]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementary_functions_are_exact_to_a_few_roundings(elementwise, dtype, rng):
    name, function, reference = elementwise
    far = np.log(np.finfo(dtype).max) - 1
    x = np.concatenate([rng.normal(size=2000), rng.uniform(-far, far, 2000), rng.normal(size=2000) * 1e-5, [0.0]])
    if name == "log":
        x = np.exp(rng.uniform(0, 20, 4000))
    if name == "log1p":
        x = rng.uniform(0, 1, 4000) ** 4
    x = x.astype(dtype)
    exact = reference(x.astype(np.longdouble))
    # Three roundings of the result, and where it underflows one of the smallest number.
    assert_close(function(x), exact.astype(dtype), 3 * eps(dtype) * np.abs(exact) + np.finfo(dtype).tiny, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_normal_distribution_is_exact_in_both_tails(dtype, rng):
    normal_cdf = over_numbers(elementary.normal_cdf)
    x = np.concatenate([rng.uniform(-12, 9, 4000), rng.normal(size=2000) * 1e-6, [0.0]]).astype(dtype)
    exact = ndtr(x.astype(np.float64))
    tail = np.minimum(exact, ndtr(-x.astype(np.float64)))
    # What the function promises of the smaller tail, SciPy's own error, and the subtraction from 1.
    assert_close(normal_cdf(x), exact, (36 + x.astype(np.float64) ** 2) * eps(dtype) * tail + eps(dtype) * exact)
    special = normal_cdf(np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], dtype))
    assert np.array_equal(special, [np.nan, 1, 0, 1, 0], equal_nan=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_pass(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 1e5, -1e5, 0.0], dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for name in ("exp", "tanh", "sigmoid", "softplus"):
            got, expected = over_numbers(getattr(elementary, name))(x), EXACT[name](x).astype(dtype)
            assert np.array_equal(got, expected, equal_nan=True) or np.allclose(got, expected, equal_nan=True), name
            assert np.isnan(got[0]), name
    assert np.array_equal(
        over_numbers(elementary.expm1)(x[[0, 2, 4]]), np.array([np.nan, -1, -1], dtype), equal_nan=True
    )
