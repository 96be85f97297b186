"""gemm is the product, for every size, layout, tile and thread count."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_kernels.cpu import gemm as gemm_module
from mlp_kernels.cpu.features import tile_for
from mlp_kernels.cpu.fused import reference
from mlp_kernels.cpu.gemm import gemm
from mlp_kernels.cpu.register_tile import C_STEPS
from mlp_kernels.cpu.tile import Tile
from tests.kernels.operands import LAYOUTS, GuardedMatrix, check_product
from tests.kernels.tiles import UNITS
from tests.tolerances import assert_close, eps, gemm_bound

DTYPES = ["float32", "float64"]
sizes = st.integers(0, 70)
layouts = st.sampled_from(sorted(LAYOUTS))


@pytest.fixture(scope="module", autouse=True)
def threads_for_any_product():
    """Also where a second thread would not pay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemm_module, "LEAST_WORK", 0)
        yield


def normal(seed, *shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(m=sizes, n=sizes, k=sizes, layout_a=layouts, layout_b=layouts, seed=st.integers(0, 99))
def test_any_size_and_layout(dtype, m, n, k, layout_a, layout_b, seed):
    a, b = normal(seed, m, k, dtype=dtype), normal(seed + 100, k, n, dtype=dtype)
    check_product(gemm(LAYOUTS[layout_a](a), LAYOUTS[layout_b](b)), a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unit", UNITS)
@given(data=st.data())
def test_sizes_around_the_edges_of_every_tile(dtype, unit, data):
    """LLVM splits vectors wider than the CPU's, so every tile can be run everywhere."""
    tile = tile_for(np.dtype(dtype), UNITS[unit])

    def around(edge):
        return st.integers(-2, 2).map(lambda off: max(0, off + edge))

    m = data.draw(st.sampled_from([0, tile.rows, 2 * tile.rows, 96, 144]).flatmap(around))
    n = data.draw(st.sampled_from([0, tile.lanes, 2 * tile.lanes, tile.columns, 2 * tile.columns]).flatmap(around))
    k = data.draw(st.sampled_from([0, tile.lanes, 2 * tile.lanes, C_STEPS, 384, 512]).flatmap(around))
    transposed = data.draw(st.tuples(st.booleans(), st.booleans()))
    a, b = normal(m, m, k, dtype=dtype), normal(n, k, n, dtype=dtype)
    out = np.full((m + 2, n + 2), 7, dtype)
    gemm(
        a.T.copy() if transposed[0] else a,
        b.T.copy() if transposed[1] else b,
        out[1:-1, 1:-1],
        transpose_a=transposed[0],
        transpose_b=transposed[1],
        tile=tile,
    )
    check_product(out[1:-1, 1:-1], a, b)
    out[1:-1, 1:-1] = 7
    assert (out == 7).all(), "an element beside the result was written"


@pytest.mark.parametrize(
    "tile",
    [
        Tile(np.dtype("float64"), lanes=2, rows=1, vectors=1),
        Tile(np.dtype("float32"), lanes=4, rows=5, vectors=3),
        Tile(np.dtype("float32"), lanes=32, rows=3, vectors=1),
    ],
    ids=str,
)
def test_unusual_tiles(tile):
    for m, n, k in [(1, 1, 1), (13, 37, 41), (10, 12, 64), (13, 37, C_STEPS + 3)]:
        a, b = normal(m, m, k, dtype=tile.dtype), normal(n, k, n, dtype=tile.dtype)
        for layout in ("c", "fortran", "strided"):
            check_product(gemm(LAYOUTS[layout](a), LAYOUTS[layout](b), tile=tile), a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    m=st.integers(1, 40),
    n=st.integers(1, 70),
    k=st.integers(1, 70),
    special=st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0]), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_nan_and_infinity_are_where_they_belong(dtype, m, n, k, special, seed):
    a, b = normal(seed, m, k, dtype=dtype), normal(seed, k, n, dtype=dtype)
    rng = np.random.default_rng(seed)
    for value in special:
        matrix = a if rng.random() < 0.5 else b
        matrix[rng.integers(matrix.shape[0]), rng.integers(matrix.shape[1])] = value
    check_product(gemm(a, b), a, b)
    with np.errstate(invalid="ignore"):
        expected = a.astype(np.longdouble) @ b.astype(np.longdouble)
    relu = gemm(a, b, activation="relu")
    np.testing.assert_array_equal(np.isnan(relu), np.isnan(expected))
    assert not (relu < 0).any()


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e-21), ("float64", 1e-159)])
def test_denormals_are_not_flushed(dtype, scale):
    a, b = scale * normal(1, 20, 7, dtype=dtype), scale * normal(2, 7, 40, dtype=dtype)
    a, b = a.astype(dtype), b.astype(dtype)
    product = gemm(a, b)
    assert (product != 0).mean() > 0.9
    assert (np.abs(product) < np.finfo(dtype).tiny).all()
    check_product(product, a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@given(m=sizes, n=sizes, k=st.integers(0, 700), threads=st.integers(2, 7))
def test_the_bits_do_not_depend_on_threads_layout_or_place(dtype, m, n, k, threads):
    a, b = normal(m, m, k, dtype=dtype), normal(n, k, n, dtype=dtype)
    one = gemm(a, b)
    assert one.tobytes() == gemm(a, b, threads=threads).tobytes()
    assert one.tobytes() == gemm(np.asfortranarray(a), LAYOUTS["strided"](b)).tobytes()
    assert one[m // 2 :, n // 3 :].tobytes() == gemm(a[m // 2 :], b[:, n // 3 :]).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(301, 517, 203), (61, 1000, 801)], ids=["A read in place", "A packed"])
def test_the_bits_are_the_same_for_large_products_too(dtype, shape):
    m, k, n = shape
    a, b = normal(1, m, k, dtype=dtype), normal(2, k, n, dtype=dtype)
    one = gemm(a, b)
    check_product(one, a, b)
    assert one.tobytes() == gemm(np.asfortranarray(a), b).tobytes()
    for threads in (2, 3, 4):
        assert one.tobytes() == gemm(a, b, threads=threads).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@given(m=sizes, n=sizes, k=st.integers(0, 300), layout=layouts, relu=st.booleans(), threads=st.integers(1, 2))
def test_bias_and_activation(dtype, m, n, k, layout, relu, threads):
    a, b, bias = normal(m, m, k, dtype=dtype), normal(n, k, n, dtype=dtype), normal(7, n, dtype=dtype)
    activation = "relu" if relu else "identity"
    fused = gemm(LAYOUTS[layout](a), b, bias=bias, activation=activation, threads=threads)
    expected = reference(*(operand.astype(np.longdouble) for operand in (a, b, bias)), activation)
    assert_close(fused, expected.astype(np.float64), gemm_bound(a, b, dtype) + 2 * eps(dtype) * np.abs(expected))
    plain = gemm(a, b) + bias
    # The same sum, the same addition: the same bits as doing it afterwards.
    np.testing.assert_array_equal(fused, np.maximum(plain, 0) if relu else plain)


def test_bias_of_any_layout_and_nan():
    bias = np.arange(-6.0, 6.0)[::-3]
    bias[1] = np.nan
    a, b = np.ones((3, 2)), np.ones((2, 4))
    np.testing.assert_array_equal(gemm(a, b, bias=bias, activation="relu"), reference(a, b, bias, "relu"))


@pytest.mark.parametrize(
    "layout", ["c", "fortran", "strided", "inside", "rows reversed", "columns reversed", "unaligned"]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_out_of_any_layout(dtype, layout):
    a, b = normal(1, 19, 23, dtype=dtype), normal(2, 23, 45, dtype=dtype)
    out = LAYOUTS[layout](np.full((19, 45), np.nan, dtype))
    assert gemm(a, b, out) is out
    np.testing.assert_array_equal(out, gemm(a, b))


def test_out_may_be_an_operand():
    a, b = normal(1, 20, 20, dtype="float64"), normal(2, 20, 20, dtype="float64")
    expected = gemm(a, b)
    np.testing.assert_array_equal(gemm(a.copy(), b), expected)
    for name in ("a", "b"):
        operands = {"a": a.copy(), "b": b.copy()}
        gemm(operands["a"], operands["b"], operands[name])
        np.testing.assert_array_equal(operands[name], expected)


@pytest.mark.parametrize(("dtype", "least"), [("float32", 128), ("float64", 64)])
def test_a_product_of_few_columns_gets_no_wide_tile(dtype, least, monkeypatch):
    asked = []

    def noted(dtype, *, wide):
        asked.append(wide)
        return tile_for(dtype, wide=wide)

    monkeypatch.setattr(gemm_module, "tile_for", noted)
    for columns in (1, least - 1, least, 2 * least):
        gemm(np.ones((2, 3), dtype), np.ones((3, columns), dtype))
    assert asked == [False, False, True, True]


def test_operands_with_zero_strides():
    row = np.broadcast_to(normal(1, 9, dtype="float64"), (30, 9))
    column = np.broadcast_to(normal(2, 9, 1, dtype="float64"), (9, 50))
    check_product(gemm(row, column), row, column)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is protected with mprotect")
@pytest.mark.parametrize("guard_after", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("unit", UNITS)
def test_nothing_is_read_or_written_outside_the_matrices(dtype, unit, guard_after):
    """A touch of the guarded page would kill the interpreter."""
    tile = tile_for(np.dtype(dtype), UNITS[unit])
    for m, n, k in [(1, 1, 1), (tile.rows + 1, tile.columns + 1, tile.lanes + 1), (13, 45, 21)]:
        for shape_a, shape_b in [((m, k), (k, n)), ((k, m), (n, k))]:
            guarded = [
                GuardedMatrix(normal(1, *shape, dtype=dtype), guard_after=guard_after)
                for shape in (shape_a, shape_b, (m, n), (1, n))
            ]
            a, b, out, bias = (each.matrix for each in guarded)
            flip = shape_a != (m, k) or shape_b != (k, n)
            gemm(a, b, out, transpose_a=flip, transpose_b=flip, bias=bias[0], tile=tile)
            check_product(out, a.T if flip else a, b.T if flip else b, plus=bias)
            for each in guarded:
                each.release()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of glibc's malloc")
def test_the_packed_blocks_are_alive_while_they_are_used():
    """Memory is unmapped as soon as it is freed here, so that a use after it kills the interpreter."""
    code = """
import numpy as np
from mlp_kernels.cpu.gemm import gemm
for size in (8, 256, 300):
    a = np.full((size, size), 2.0)
    assert (gemm(a, a) == 4 * size).all()
"""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "4096", "MALLOC_PERTURB_": "165"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: gemm(x, x[:2]), ValueError, r"b: got shape \(2, 3\).*expected 3 rows"),
        (lambda x: gemm(x, x[0]), ValueError, r"b: got shape \(3,\), expected 2 dimensions"),
        (lambda x: gemm(x, x.astype("float32")), TypeError, "b: got float32, expected an array of float64"),
        (lambda x: gemm(x.astype("int64"), x), TypeError, "a: got int64"),
        (lambda x: gemm(x.astype(">f8"), x), TypeError, "a: got >f8"),
        (lambda x: gemm(x, [[1.0]]), TypeError, "b: got list"),
        (lambda x: gemm(x, x, np.empty((3, 2))), ValueError, r"out: got shape \(3, 2\), expected \(3, 3\)"),
        (lambda x: gemm(x, x, np.empty((3, 3), "float32")), TypeError, "out: got float32"),
        (lambda x: gemm(x, x, LAYOUTS["read-only"](x)), ValueError, "out: got a read-only"),
        (lambda x: gemm(x, x, bias=np.zeros(2)), ValueError, r"bias: got shape \(2,\), expected \(3,\)"),
        (lambda x: gemm(x, x, tile=tile_for(np.dtype("float32"))), ValueError, "tile: got one for float32"),
        (lambda x: gemm(x, x, threads=0), ValueError, "threads: got 0"),
        (lambda x: gemm(x, x, activation="rleu"), ValueError, "activation: got 'rleu'"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(np.ones((3, 3)))
