"""Fused epilogues give what the same operations give one after another, at every ragged size and alignment."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numba import cuda, types

from mlp_kernels.cuda import epilogues, gemm
from mlp_kernels.cuda.device import device
from mlp_kernels.cuda.epilogues import Epilogue
from mlp_kernels.cuda.tiles import Tile
from tests.kernels_cuda.on_gpu import SMALL, Placed, needs_gpu, normal, placed_operands
from tests.tolerances import assert_close, gemm_bound

pytestmark = needs_gpu

HYPER = np.array([0.1, 0.01, 0.95, 0.9, 0.1, 0.99, 0.01, 0.05, 0.3], "float32")
"""lr, l2, shrink, β₁, 1 - β₁, β₂, 1 - β₂, step size, eps: no two alike, and eps large so that rounding stays small."""


@device
def relu(x):
    return x if x > types.float32(0.0) else types.float32(0.0)


@device
def relu_slope(x):
    return types.float32(1.0) if x > types.float32(0.0) else types.float32(0.0)


KINDS = {
    "bias": (None, None),
    "bias and relu": (relu, lambda x: np.maximum(x, 0)),
    "slope": (relu_slope, lambda x: (x > 0).astype(x.dtype)),
    "sgd": (None, None),
    "adam": (None, None),
}
TILES = {
    "float32": SMALL["one warp, two stages"],
    "tf32": Tile(16, 16, 8, warp_rows=16, warp_columns=16, padding=8),
}


@pytest.mark.parametrize("precision", TILES)
@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=3)
@example(m=5, n=18, aligned=True)  # fours of neighbours, and a rest
@given(m=st.integers(1, 19), n=st.integers(1, 19), aligned=st.booleans())
def test_epilogue(name, precision, m, n, aligned):
    kind, k = name.split()[0], 5
    function, plain = KINDS[name]
    # Small integers: a product is exact, in tf32 too, so that only the epilogue rounds.
    a, b = (np.round(normal(seed, *shape)) for seed, shape in [(m, (m, k)), (n, (k, n))])
    before = normal(3, m, n)
    u = normal(4, n) if kind == "bias" else normal(4, m, n)
    v = np.abs(normal(5, m, n))
    in_a, in_b, _ = placed_operands(a, b, "TN", aligned=aligned)
    c, v_like_c = Placed(before, aligned=aligned), Placed(v, aligned=aligned)
    u_like_c = Placed(u.reshape(-1, n), aligned=aligned)
    gemm.multiply(
        in_a.matrix,
        in_b.matrix,
        c.matrix,
        layout="TN",
        precision=precision,
        epilogue=Epilogue(kind, function),
        u=u_like_c.data,
        v=v_like_c.data,
        h=cuda.to_device(HYPER),
        tile=TILES[precision],
    )
    wide = [x.astype(np.float64) for x in (a @ b, before, u, v, HYPER)]
    expected = epilogues.reference(kind, *wide, plain)
    # Each result is a handful of operations on numbers of this size; eps in Adam keeps its division away from zero.
    size = 1 + np.abs(wide[0]) + np.abs(wide[1]) + np.abs(wide[2]) + np.abs(wide[3]) + wide[0] ** 2
    bound = 32 * np.finfo("float32").eps * size
    assert_close(c.read(), expected[0], bound, "C")
    if kind == "adam":
        assert_close(u_like_c.read(), expected[1], bound, "first moment")
        assert_close(v_like_c.read(), expected[2], bound, "second moment")


def test_in_float64():
    a, b, bias = normal(1, 9, 7, dtype="float64"), normal(2, 7, 10, dtype="float64"), normal(3, 10, dtype="float64")
    in_a, in_b, c = placed_operands(a, b, "NN", aligned=True)
    epilogue = Epilogue("bias")
    tile = SMALL["one warp, two stages"]
    gemm.multiply(
        in_a.matrix, in_b.matrix, c.matrix, precision="float64", epilogue=epilogue, u=cuda.to_device(bias), tile=tile
    )
    bound = gemm_bound(a, b, "float64") + 2 * np.finfo("float64").eps * np.abs(bias)
    assert_close(c.read(), a @ b + bias, bound + np.finfo("float64").eps * np.abs(a @ b))
