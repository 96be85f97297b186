"""A batch gathered into panels, beside NumPy's own indexing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from mlp_kernels.cpu import gather
from mlp_kernels.cpu.memory import load, pointer_to
from mlp_kernels.cpu.native import call
from mlp_scratch.testing import strategies
from tests.tolerances import assert_close, eps

LEFT = 7
"""What a panel holds beforehand."""


@njit
def gather_features(tile, data, begin, end, order, n, rows, b, x, sources):
    data, order, x, sources = pointer_to(data), pointer_to(order), pointer_to(x), pointer_to(sources)
    call(load(data, gather.GATHER), (tile, data, begin, end, order, n, rows, b, x, sources))


@njit
def gather_targets(tile, data, outputs, order, n, b, smoothing, t, sources):
    data, order, t, sources = pointer_to(data), pointer_to(order), pointer_to(t), pointer_to(sources)
    gather.gather_targets(tile, data, outputs, order, n, b, smoothing, t, sources)


def numbers(kind, shape, seed):
    """Of any number type, some of them too large for int8 where the type has larger ones."""
    return (np.random.default_rng(seed).standard_normal(shape) * 100).astype(kind)


@pytest.mark.parametrize("kind", ["float32", "uint8", "int64"])
@settings(max_examples=40)
@given(
    features=st.integers(1, 40),
    n=st.integers(1, 70),
    layout=strategies.layouts(),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_features_of_a_panel_are_those_of_its_samples(tile, kind, features, n, layout, seed, data):
    X, width = layout(numbers(kind, (9, features), seed)), tile.columns
    begin = data.draw(st.sampled_from(range(0, features, tile.lanes)), "begin")
    end = data.draw(st.integers(begin, features), "end")
    order, rows = np.random.default_rng(seed).integers(0, 9, n), features + 2
    b = data.draw(st.integers(0, (n - 1) // width), "b")
    panels = np.full((b + 2, rows, width), LEFT, tile.dtype)
    gather_features(tile, gather.describe(X, tile), begin, end, order, n, rows, b, panels, np.empty(width, np.int64))

    here = order[b * width : (b + 1) * width]
    assert np.array_equal(panels[b, begin:end, : len(here)], X[here, begin:end].T.astype(tile.dtype))
    panels[b, begin:end] = LEFT
    assert (panels == LEFT).all(), "beyond the features or the panel"


@settings(max_examples=40)
@given(outputs=st.integers(1, 40), n=st.integers(1, 70), layout=strategies.layouts(), seed=st.integers(0, 99))
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_targets_of_a_panel_are_those_of_its_samples(tile, smoothing, outputs, n, layout, seed):
    t, width = layout(numbers(tile.dtype, (9, outputs), seed)), tile.columns
    order, b = np.random.default_rng(seed).integers(0, 9, n), (n - 1) // width
    panel = np.full((outputs, width), LEFT, tile.dtype)
    gather_targets(tile, gather.describe(t, tile), outputs, order, n, b, smoothing, panel, np.empty(width, np.int64))
    here = t[order[b * width :]].T
    smooth = (1 - smoothing) * here.astype(np.float64) + smoothing / outputs
    assert_close(panel[:, : here.shape[1]], smooth, 3 * eps(tile.dtype) * (np.abs(here) + smoothing))


@settings(max_examples=10)
@given(n=st.integers(1, 70), seed=st.integers(0, 99))
def test_class_indices_are_one_row_of_numbers(tile, n, seed):
    labels, width = np.arange(0, 2000, 7), tile.columns
    order, b = np.random.default_rng(seed).integers(0, len(labels), n), (n - 1) // width
    panel = np.full((2, width), LEFT, tile.dtype)
    gather_targets(tile, gather.describe(labels, tile), 2000, order, n, b, 0.1, panel, np.empty(width, np.int64))
    here = labels[order[b * width :]]
    assert np.array_equal(panel[0, : len(here)], here)
    assert (panel[1] == LEFT).all(), "the row behind"
