"""The stable functions that layers and losses share: exact far out, in every dtype, and for complex steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlp_scratch.functional import log_sum_exp, normal_cdf, sigmoid, softmax, softplus
from tests.tolerances import assert_close, function_bound

FLOATS = [np.float16, np.float32, np.float64, np.longdouble]
ROWS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(-1e4, 1e4))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_against_extended_precision(dtype):
    """Each function in `dtype` against its plain definition in a wider one, where that does not overflow."""
    x = np.linspace(-10, 10, 201).astype(dtype)
    wide = x.astype(np.longdouble)
    exact_sigmoid = 1 / (1 + np.exp(-wide))
    with np.errstate(under="ignore"):
        assert_close(sigmoid(x), exact_sigmoid.astype(np.float64), function_bound(exact_sigmoid, dtype))
        exact = np.log1p(np.exp(wide))
        assert_close(softplus(x), exact.astype(np.float64), function_bound(exact, dtype))
        z, wide_z = x.reshape(3, 67), wide.reshape(3, 67)
        exact = np.log(np.exp(wide_z).sum(axis=1, keepdims=True))
        assert_close(log_sum_exp(z), exact.astype(np.float64), function_bound(np.abs(exact) + 1, dtype, 70))
        exact = np.exp(wide_z) / np.exp(wide_z).sum(axis=1, keepdims=True)
        # The rounding of a difference of logits of size up to 20 is a relative error of its exponential.
        assert_close(softmax(z), exact.astype(np.float64), function_bound(exact, dtype, 70 + 20))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", [sigmoid, softplus, normal_cdf])
def test_elementwise_functions_far_out_and_their_dtype(function, dtype):
    with np.errstate(under="ignore"):
        y = function(np.array([-1e4, 0.0, 1e4], dtype))
    assert y.dtype == dtype
    middle = {sigmoid: 0.5, softplus: np.log(2), normal_cdf: 0.5}[function]
    high = float(dtype(1e4)) if function is softplus else 1.0
    assert_close(y.astype(np.float64), [0.0, middle, high], [0.0, float(np.finfo(dtype).eps), 0.0])


@pytest.mark.parametrize("dtype", FLOATS)
def test_row_functions_far_out_and_their_dtype(dtype):
    z = np.array([[1e4, -1e4], [-1e4, -1e4]], dtype)
    with np.errstate(under="ignore"):
        p, total = softmax(z), log_sum_exp(z)
    assert p.dtype == total.dtype == dtype
    assert p.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    size = float(dtype(1e4))
    assert_close(total.astype(np.float64), [[size], [-size + np.log(2)]], 2 * size * float(np.finfo(dtype).eps))


@given(z=ROWS)
def test_softmax_is_a_distribution(z):
    with np.errstate(under="ignore"):
        p = softmax(z)
    assert (p >= 0).all()
    assert_close(p.sum(axis=1), np.ones(len(z)), 2 * z.shape[1] * np.finfo(float).eps)
    assert (p.argmax(axis=1) == z.argmax(axis=1)).all() or len(np.unique(z)) < z.size or p.max() < 1


@given(x=arrays(np.float64, 7, elements=st.floats(-700, 700)))
def test_sigmoid_mirrors_and_softplus_differs_by_x(x):
    with np.errstate(under="ignore"):
        assert_close(sigmoid(x) + sigmoid(-x), np.ones(7), 4 * np.finfo(float).eps)
        assert_close(softplus(x) - softplus(-x), x, 8 * np.finfo(float).eps * (1 + np.abs(x)))


@given(z=ROWS)
def test_log_sum_exp_lies_between_the_maximum_and_log_c_more(z):
    with np.errstate(under="ignore"):
        total = log_sum_exp(z)
    largest = z.max(axis=1, keepdims=True)
    slack = 4 * np.finfo(float).eps * (1 + np.abs(largest))
    assert (total >= largest - slack).all()
    assert (total <= largest + np.log(z.shape[1]) + slack).all()


@pytest.mark.parametrize("function", [sigmoid, softplus])
def test_nan_and_infinity_stay_in_sight(function):
    y = function(np.array([np.nan, -np.inf, np.inf]))
    assert np.isnan(y[0])
    assert y[1] == 0
    assert y[2] == (1 if function is sigmoid else np.inf)


@pytest.mark.parametrize("x", [-30.0, -1.0, 0.5, 30.0])
def test_complex_steps_give_the_derivatives(x):
    h = 1e-100
    z = np.array([[x + 1j * h, 0.3]])
    s, mirrored = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    for function, slope in (
        (sigmoid, s * mirrored), (softplus, s), (normal_cdf, np.exp(-x * x / 2) / np.sqrt(2 * np.pi)),
    ):  # fmt: skip
        assert_close(function(z)[0, 0].imag / h, float(slope), 1e-12 * float(slope))
    p = float(1 / (1 + np.exp(0.3 - np.longdouble(x))))
    assert_close(log_sum_exp(z)[0, 0].imag / h, p, 1e-12 * p)
    assert_close(softmax(z)[0].imag / h, [p * (1 - p), -p * (1 - p)], 1e-12)


def test_the_complex_step_through_softplus_at_zero_gives_its_slope():
    """At 0 both branches meet: they must see the imaginary part with the same sign."""
    slope = softplus(np.array([1e-100j])).imag[0] / 1e-100
    assert_close(slope, 0.5, 4 * np.finfo(float).eps)
