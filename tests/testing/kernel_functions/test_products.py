"""The plain references of the ladder's rungs beside NumPy's product."""

from inspect import signature

import numpy as np
import pytest

from mlp_kernels.cpu import fused, naive, register_tile


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_numpys(dtype, rng):
    A, B = (rng.integers(-8, 8, shape).astype(dtype) for shape in ((3, 4), (4, 2)))
    C = np.full((3, 2), 9.0, dtype)
    naive.multiply(A, B, C)
    assert np.array_equal(C, A @ B)
    naive.multiply(A[:, :0].copy(), B[:0], C)
    assert (C == 0).all()
    tiny = np.array([[1.0], [2.0**-24], [2.0**-24]])  # two halves of the last digit of a float32, one after the other
    naive.multiply(np.ones((1, 3), dtype), tiny.astype(dtype), C[:1, :1])
    assert C[0, 0] == (1.0 if dtype == "float32" else 1 + 2.0**-23)
    C[...] = A @ B
    for product in (register_tile.reference(A, B), register_tile.reference(A, B, C)):
        assert product.dtype == dtype
    assert register_tile.reference(np.ones((1, 3), dtype), tiny.astype(dtype)) == C.dtype.type(
        1.0 if dtype == "float32" else 1 + 2.0**-23
    )
    C[...] = 0
    assert np.array_equal(register_tile.reference(A, B), A @ B)
    assert np.array_equal(register_tile.reference(A, B, C + 2), A @ B + 2)
    bias = np.array([1.0, -50.0], dtype)
    assert np.array_equal(fused.reference(A, B), A @ B)
    assert np.array_equal(fused.reference(A, B, bias), A @ B + bias)
    relu = fused.reference(A, B, bias, "relu")
    assert np.array_equal(relu, np.maximum(A @ B + bias, 0))
    assert relu.dtype == dtype
    assert fused.reference(np.array([[0.5]]), np.eye(1), None, "relu") == 0.5
    assert np.isnan(fused.reference(np.array([[np.nan]]), np.eye(1), None, "relu")).all()


def test_nothing_follows_a_product_unless_said():
    assert signature(fused.reference).parameters["activation"].default == "identity"
