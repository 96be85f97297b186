"""Arrays: batches of ordinary and extreme numbers in every memory layout, sample weights, dtypes, sizes."""

from collections.abc import Callable
from functools import cache
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


EDGES = (*(1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33), *(47, 48, 49, 63, 64, 65, 70, 255, 256, 257))
"""Sizes on both sides of the multiples of vectors, tiles and blocks: where a tiled kernel changes its way."""

FEW = 5
"""Up to about so many samples a kernel may go another way than with a batch."""


@cache
def edges(least: int, most: int) -> st.SearchStrategy[int]:
    """One of `EDGES` from `least` to `most`."""
    return st.sampled_from([size for size in EDGES if least <= size <= most])


@cache
def _batch_sizes(max_size: int = 12, *, min_size: int = 1) -> st.SearchStrategy[int]:
    """How many samples a batch has: half of the time few, else often where a tiled kernel has an edge."""
    few = st.integers(min_size, min(FEW, max_size))
    others = edges(min_size, max_size) | st.integers(min_size, max_size)
    return st.booleans().flatmap(lambda many: others if many else few)


@st.composite
def cuts(draw: st.DrawFn, max_samples: int = 12, *, min_batch: int = 1) -> tuple[int, int]:
    """The size of a data set and that of its batches: up to three whole ones, then often a short one.

    Args:
        draw: given by Hypothesis.
        max_samples: the largest data set.
        min_batch: the smallest batch, also of the short ones: 1, or 2 for batch normalisation.
    """
    size = draw(_batch_sizes(max_samples, min_size=min_batch))
    whole = draw(st.integers(1, min(3, max_samples // size)))
    most = min(size - 1, max_samples - whole * size)
    short = draw(st.just(0) | _batch_sizes(most, min_size=min_batch)) if most >= min_batch else 0
    return whole * size + short, size


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
        edges = [limit.maxexp // 2 - 4, limit.minexp, limit.minexp - limit.nmant // 2]
        exponents = st.sampled_from([0, 3, 7, 10, 20, *edges])
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
