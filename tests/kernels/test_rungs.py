"""The plain rungs of the ladder are the product too: they are what the fast ones are explained by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlp_kernels.cpu import fused, naive, packed, register_tile, tiled
from tests.kernels.operands import check_product

RUNGS = {"naive": naive.multiply, "tiled": tiled.multiply, "packed": packed.multiply}


def blocked_edges(block):
    return [block - 1, block, block + 1]


def run(rung, a, b):
    out = np.full((a.shape[0], b.shape[1]), np.nan, a.dtype)
    RUNGS[rung](a, b, out)
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rung", RUNGS)
@given(m=st.integers(0, 70), n=st.integers(0, 70), k=st.integers(0, 70), seed=st.integers(0, 99))
def test_any_size(rung, dtype, m, n, k, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    check_product(run(rung, a, b), a, b)


@pytest.mark.parametrize("rung", RUNGS)
@settings(max_examples=10)
@given(data=st.data())
def test_sizes_around_the_edges_of_the_blocks(rung, data):
    m = data.draw(st.sampled_from([1, *blocked_edges(packed.ROWS), *blocked_edges(tiled.BLOCK)]))
    n = data.draw(st.sampled_from([1, *blocked_edges(packed.COLUMNS), *blocked_edges(tiled.BLOCK)]))
    k = data.draw(st.sampled_from([1, *blocked_edges(packed.DEPTH), *blocked_edges(tiled.BLOCK)]))
    rng = np.random.default_rng(m + n + k)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    check_product(run(rung, a, b), a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rung", RUNGS)
def test_nan_infinity_and_denormals(rung, dtype):
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((9, 11)).astype(dtype), rng.standard_normal((11, 37)).astype(dtype)
    a[0, 3], a[1, 4], a[2, 5], b[5, 7], b[6, 8] = np.nan, np.inf, -np.inf, 0.0, np.inf
    check_product(run(rung, a, b), a, b)
    tiny = np.finfo(dtype).tiny
    a, b = np.full((2, 1), tiny, dtype), np.full((1, 3), 0.25, dtype)
    np.testing.assert_array_equal(run(rung, a, b), np.full((2, 3), tiny / 4, dtype))


@given(m=st.integers(1, 9), n=st.integers(1, 9), k=st.integers(0, 9))
def test_the_references_agree_with_numpy(m, n, k):
    rng = np.random.default_rng(m + n + k)
    a, b, c = rng.standard_normal((m, k)), rng.standard_normal((k, n)), rng.standard_normal((m, n))
    check_product(register_tile.reference(a, b), a, b)
    check_product(register_tile.reference(a, b, c), a, b, plus=c)
    check_product(fused.reference(a, b, c[0]), a, b, plus=c[0])
    np.testing.assert_array_equal(fused.reference(a, b, c[0], "relu"), np.maximum(fused.reference(a, b, c[0]), 0))
