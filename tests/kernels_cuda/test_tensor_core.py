"""Tensor cores: fragments lie as PTX has them, operands are rounded as promised, products are as near as promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda, float32

from mlp_kernels.cuda import gemm, simulated, tensor_core
from mlp_kernels.cuda.device import IS_SIMULATOR, jit, ld1, pack_bf16, st1, to_tf32
from mlp_kernels.cuda.tiles import Tile
from tests.kernels_cuda.on_gpu import needs_gpu, normal, placed_operands
from tests.tolerances import (
    OPERAND_ROUNDING,
    assert_close,
    inexact_gemm_bound,
    rounded_gemm_bound,
    summation_bound,
)

LAYOUTS = ["NN", "NT", "TN"]
TILES = {
    "one warp": Tile(16, 16, 16, warp_rows=16, warp_columns=16, padding=8),
    "two warps, three stages": Tile(32, 16, 16, warp_rows=16, warp_columns=16, padding=4, stages=3),
}
ROUNDED = [precision for precision, (unit, _) in OPERAND_ROUNDING.items() if unit]


@needs_gpu
@pytest.mark.parametrize("precision", ROUNDED)
@pytest.mark.parametrize("tile", TILES)
@settings(max_examples=3)
@given(
    m=st.integers(1, 33),
    n=st.integers(1, 17),
    k=st.integers(0, 35),
    layout=st.sampled_from(LAYOUTS),
    aligned=st.booleans(),
)
def test_product(precision, tile, m, n, k, layout, aligned):
    a, b = normal(m, m, k), normal(n, k, n)
    in_a, in_b, c = placed_operands(a, b, layout, aligned=aligned)
    sums = cuda.to_device(np.full(m, np.nan, "float32"))
    gemm.multiply(
        in_a.matrix,
        in_b.matrix,
        c.matrix,
        layout=layout,
        precision=precision,
        row_sums=sums,
        tile=TILES[tile],
    )
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert_close(c.read(), exact, inexact_gemm_bound(a, b, precision), "near the product")
    products = OPERAND_ROUNDING[precision][1]
    as_rounded = tensor_core.reference(a, b, precision)
    assert_close(c.read(), as_rounded, rounded_gemm_bound(a, b, 0.0, products=products), "the rounded operands'")
    bound = summation_bound(k + 1, np.abs(a).sum(axis=1), "float32")
    assert_close(sums.copy_to_host(), a.astype(np.float64).sum(axis=1), bound, "sums of rows are of float32")


@needs_gpu
def test_three_products_are_needed_for_3xtf32():
    """A single tf32 product would be off by more than the bound of 3xtf32 allows: the tests can tell them apart."""
    a, b = normal(1, 16, 16), normal(2, 16, 16)
    wrong = tensor_core.reference(a, b, "tf32")
    with pytest.raises(AssertionError):
        assert_close(wrong, a.astype(np.float64) @ b, inexact_gemm_bound(a, b, "3xtf32"))


@needs_gpu
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator is NumPy, which warns of them
@pytest.mark.parametrize("precision", ROUNDED)
def test_nan_and_infinity_are_not_hidden(precision):
    a, b = np.ones((17, 16), "float32"), np.ones((16, 9), "float32")
    a[0, 1], a[16, 2] = np.nan, np.inf
    in_a, in_b, c = placed_operands(a, b, "NN", aligned=True)
    gemm.multiply(in_a.matrix, in_b.matrix, c.matrix, precision=precision, tile=TILES["one warp"])
    result = c.read()
    assert np.isnan(result[0]).all()
    assert not np.isfinite(result[16]).any()
    np.testing.assert_array_equal(result[1:16], 16)
    if precision != "3xtf32":
        np.testing.assert_array_equal(result[16], np.inf)


@needs_gpu
def test_conversions_round_to_nearest():
    """tf32: ties away from zero; bf16: ties to even; denormals, the largest numbers, infinities and NaN alike."""
    rng = np.random.default_rng(4)
    bits = rng.integers(0, 2**32, 40, dtype=np.uint32)
    ties = np.array([0x3F801000, 0x3F803000, 0x3F808000, 0x3F818000, 0xBF808000, 0x7F7FFFFF, 1, 0], np.uint32)
    x = np.concatenate([bits, ties]).view(np.float32)
    x = np.concatenate([x[np.isfinite(x)], np.float32([np.inf, -np.inf, np.nan])])
    x = x[: len(x) // 2 * 2]

    @jit
    def convert(values, tf32, packed):
        i = cuda.threadIdx.x
        st1(tf32, 2 * i, to_tf32(ld1(values, 2 * i)))
        st1(tf32, 2 * i + 1, to_tf32(ld1(values, 2 * i + 1)))
        st1(packed, i, pack_bf16(ld1(values, 2 * i), ld1(values, 2 * i + 1)))

    tf32, packed = cuda.to_device(np.zeros_like(x)), cuda.to_device(np.zeros(len(x) // 2, np.uint32))
    convert[1, len(x) // 2](cuda.to_device(x), tf32, packed)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(tf32.copy_to_host(), tensor_core.rounded(x, 10, ties_to_even=False))
        bf16 = (packed.copy_to_host()[:, None] >> np.array([0, 16], np.uint32) << np.uint32(16)).view(np.float32)
        np.testing.assert_array_equal(bf16.reshape(-1), tensor_core.rounded(x, 7, ties_to_even=True))


def elements_as_documented(kind):
    """Row and column of each lane's elements of A, B and C, in the words of the PTX manual's fragment tables."""
    for lane in range(32):
        group, in_group = lane >> 2, lane % 4
        if kind == "tf32":  # "Matrix fragments for mma.m16n8k8", .tf32
            a = [(group + 8 * (i in (1, 3)), in_group + 4 * (i in (2, 3))) for i in range(4)]
            b = [(in_group + 4 * i, group) for i in range(2)]
        else:  # "Matrix fragments for mma.m16n8k16", .bf16
            a = [
                (group + 8 * (not (0 <= i < 2 or 4 <= i < 6)), in_group * 2 + (i & 1) + 8 * (i >= 4)) for i in range(8)
            ]
            b = [(in_group * 2 + (i & 1) + 8 * (i >= 2), group) for i in range(4)]
        c = [(group + 8 * (i >= 2), in_group * 2 + (i & 1)) for i in range(4)]
        yield a, b, c


@pytest.mark.parametrize(("kind", "each"), [("tf32", 1), ("bf16", 2)])
def test_the_simulated_instruction_has_the_documented_fragments(kind, each):
    whole = [normal(1, 16, 8 * each), normal(2, 8 * each, 8), normal(3, 16, 8)]
    lanes = [[], [], []]
    for places in elements_as_documented(kind):
        for matrix, own, found in zip(whole, places, lanes, strict=True):
            found.append([matrix[place] for place in own])
    a, b, c = (np.array(found, "float32") for found in lanes)
    result = simulated.product_of_fragments(a.reshape(32, 4, each), b.reshape(32, 2, each), c)
    expected = (whole[0].astype(np.float64) @ whole[1] + whole[2]).astype("float32")
    for lane, (_, _, own) in enumerate(elements_as_documented(kind)):
        np.testing.assert_array_equal(result[lane], [expected[place] for place in own])


@pytest.mark.skipif(not IS_SIMULATOR, reason="a GPU does not show what it read")
def test_the_simulated_instruction_reads_no_more_than_tf32():
    unrounded = np.float32(1 + 2**-12)

    @jit
    def multiply(out):
        thread = cuda.threadIdx.x
        one = float32(1.0)
        x = ld1(out, thread) if thread < 0 else unrounded
        st1(out, thread, simulated.mma_tf32(x, x, x, x, one, one, one, one, one, one)[0])

    out = np.zeros(32, "float32")
    multiply[1, 32](out)
    np.testing.assert_array_equal(out, 9)  # 8 products of 1, and the 1 it began with


def test_wrong_tiles_are_refused():
    for change in ({"warp_rows": 8}, {"warp_columns": 4}, {"depth": 8}):
        sizes = {"rows": 32, "columns": 32, "depth": 16, "warp_rows": 16, "warp_columns": 16} | change
        with pytest.raises(ValueError, match="16 x 8 a warp"):
            tensor_core.make_kernel("bf16", Tile(**sizes))


def test_rounding_in_the_reference():
    x = np.float32([1 + 2**-11, 1 + 3 * 2**-11, -1 - 2**-11, np.inf, -np.inf])
    expected = np.float32([1 + 2**-10, 1 + 2**-9, -1 - 2**-10, np.inf, -np.inf])
    np.testing.assert_array_equal(tensor_core.rounded(x, 10, ties_to_even=False), expected)
    np.testing.assert_array_equal(tensor_core.rounded(x[:2], 10, ties_to_even=True), np.float32([1, 1 + 2**-9]))
    assert np.isnan(tensor_core.rounded(np.float32([np.nan]), 10, ties_to_even=True)).all()
