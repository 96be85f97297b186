"""The first rungs of the ladder: one thread an element, in three ways."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda

from mlp_kernels.cuda import coalesced, naive, shared_tile
from mlp_kernels.cuda.device import element_of
from tests.kernels.operands import check_product
from tests.kernels_cuda.on_gpu import needs_gpu, normal

pytestmark = needs_gpu

RUNGS = {"naive": naive, "coalesced": coalesced, "shared tile": shared_tile}
EDGE = 4


def run(rung, a, b):
    c = cuda.to_device(np.full((a.shape[0], b.shape[1]), np.nan, a.dtype))
    kernel = RUNGS[rung].make_kernel(element_of(a.dtype), EDGE)
    blocks, threads = RUNGS[rung].grid(*c.shape, EDGE)
    kernel[blocks, threads](cuda.to_device(a), cuda.to_device(b), c)
    return c.copy_to_host()


@pytest.mark.parametrize("rung", RUNGS)
@settings(max_examples=6)
@given(
    m=st.integers(1, 9),
    n=st.integers(1, 9),
    k=st.integers(0, 9),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_any_size(rung, m, n, k, dtype, seed):
    a, b = normal(seed, m, k, dtype=dtype), normal(seed + 1, k, n, dtype=dtype)
    if k == 0:  # an empty array has no place on a GPU
        a, b = np.zeros((m, 1), dtype), np.zeros((1, n), dtype)
    check_product(run(rung, a, b), a, b)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator is NumPy, which warns of them
@pytest.mark.parametrize("rung", RUNGS)
def test_nan_and_infinity(rung):
    a, b = normal(1, 5, 6), normal(2, 6, 5)
    a[0, 1], a[1, 2], a[2, 3], b[3, 3], b[4, 4] = np.nan, np.inf, -np.inf, 0.0, np.inf
    check_product(run(rung, a, b), a, b)


def test_the_reference_is_the_product():
    a, b = normal(1, 5, 6, dtype="float64"), normal(2, 6, 7, dtype="float64")
    check_product(naive.reference(a, b), a, b)
