"""Arrays: batches of ordinary and extreme numbers in every memory layout, sample weights, dtypes."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from hypothesis import strategies as st

from mlp_scratch._types import Array
from mlp_scratch.testing.storage import LAYOUTS

Magnitudes = Literal["ordinary", "any"]

DRAWN_ONE_BY_ONE = 8
"""Larger arrays come from a drawn seed: Hypothesis would discard long draws, and shrinking them takes minutes."""

GRID = 16
"""Ordinary numbers are multiples of 1/16 up to 4: exact in float32, often 0, equal, or opposite, and short to read."""


def dtypes() -> st.SearchStrategy[str]:
    """The dtypes that a model can have."""
    return st.sampled_from(["float64", "float32"])


@st.composite
def batches(
    draw: st.DrawFn,
    n_features: int | st.SearchStrategy[int] = 3,
    *,
    min_size: int = 1,
    max_size: int = 9,
    dtype: str = "float64",
    magnitudes: Magnitudes = "ordinary",
) -> Array:
    """A batch (N, D): of one sample or several, some of them twice, with zeros among the numbers.

    Args:
        draw: given by Hypothesis.
        n_features: D, or a strategy of it.
        min_size: the smallest N.
        max_size: the largest N.
        dtype: of the numbers.
        magnitudes: "ordinary", multiples of 1/16 up to 4; "any", from denormal to a square root of the largest.
    """
    d = n_features if isinstance(n_features, int) else draw(n_features)
    n = draw(st.integers(min_size, max_size))
    X = _numbers(draw, (n, d))
    if n > 1 and draw(st.booleans()):
        X[-1] = X[0]  # the same sample twice
    if magnitudes == "any":
        limit = np.finfo(dtype)
        exponents = st.sampled_from([0, 3, limit.maxexp // 2 - 4, limit.minexp, limit.minexp - limit.nmant // 2])
        X = X * 2.0 ** draw(exponents)
    return X.astype(dtype)


def _numbers(draw: st.DrawFn, shape: tuple[int, int]) -> Array:
    size = shape[0] * shape[1]
    if size <= DRAWN_ONE_BY_ONE:
        steps = draw(st.lists(st.integers(-4 * GRID, 4 * GRID), min_size=size, max_size=size))
        return np.array(steps, dtype=np.float64).reshape(shape) / GRID
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    X = rng.integers(-4 * GRID, 4 * GRID, shape, endpoint=True) / GRID
    X[rng.uniform(size=shape) < 0.1] = 0.0  # where activations have their kink
    return np.asarray(X, dtype=np.float64)


def layouts() -> st.SearchStrategy[Callable[[Array], Array]]:
    """A function that lays an array out anew: C or F order, strided, reversed, read-only."""
    in_order: dict[str, Callable[[Array], Array]] = {"C order": np.ascontiguousarray, **LAYOUTS}
    return st.sampled_from(list(in_order)).map(in_order.__getitem__)


@st.composite
def sample_weights(draw: st.DrawFn, n: int) -> Array | None:
    """Weights of `n` samples, some 0 but not all, or None."""
    if draw(st.booleans()):
        return None
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    weights = rng.integers(0, 2 * GRID, n, endpoint=True) / GRID * (rng.uniform(size=n) < 0.7)
    weights[rng.integers(n)] += 1.0  # weights that are all zero are refused
    return np.asarray(weights)
