"""Stable functions that layers and losses share, of elements or of rows.

Comparisons and maxima look at `.real`, so that complex numbers pass as well: the complex-step check of `gradcheck`
differentiates through them. For real input `.real` is the array itself.
"""

import numpy as np

from mlp_scratch._types import Array


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), elementwise; never overflows, and keeps its relative accuracy where it is tiny.

    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    e = np.exp(np.where(x.real < 0, x, -x))  # e^-|x|, at most 1
    return np.where(x.real < 0, e, 1) / (1 + e)


def softplus(x: Array) -> Array:
    """log(1 + e^x), elementwise; never overflows.

    >>> softplus(np.array([-1e4, 0.0, 1e4])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+04])
    """
    return np.where(x.real >= 0, x, 0) + np.log1p(np.exp(np.where(x.real < 0, x, -x)))


def log_sum_exp(z: Array) -> Array:
    """log Σ_c e^z_c of each row: (N, C) -> (N, 1); the largest logit is taken out first, so nothing overflows.

    >>> log_sum_exp(np.array([[1e4, 1e4]])).round(4)
    array([[10000.6931]])
    """
    largest = z.real.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(z - largest).sum(axis=1, keepdims=True))


def softmax(z: Array) -> Array:
    """e^z_c / Σ e^z of each row: (N, C) -> (N, C).

    >>> softmax(np.array([[0.0, 0.0, 1e4]]))
    array([[0., 0., 1.]])
    """
    e = np.exp(z - z.real.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def normal_cdf(x: Array) -> Array:
    """Φ(x), the standard normal distribution function, elementwise, in the dtype of `x`."""
    from scipy.special import ndtr  # scipy takes longer to import than the rest of the package

    # SciPy has no half or extended precision loop; such dtypes go through float64.
    wide = x if x.dtype.char in "fdFD" else x.astype(np.float64)
    return np.asarray(ndtr(wide)).astype(x.dtype, copy=False)
