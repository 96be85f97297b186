"""The entry: it chooses, checks and launches."""

import numpy as np
import pytest
from numba import cuda

from mlp_kernels.cuda import gemm
from mlp_kernels.cuda.epilogues import Epilogue
from tests.kernels.operands import check_product
from tests.kernels_cuda.on_gpu import SMALL, Placed, needs_gpu, normal, placed_operands
from tests.tolerances import assert_close, rounded_gemm_bound


@pytest.fixture
def small_tiles(monkeypatch):
    tile = SMALL["one warp, two stages"]
    tensor = gemm.Tile(16, 16, 16, warp_rows=16, warp_columns=16)
    tiles = {precision: (tile if precision in ("float32", "float64") else tensor,) for precision in gemm.TILES}
    monkeypatch.setattr(gemm, "TILES", tiles)


@needs_gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN"])
def test_numpy_arrays_go_in(small_tiles, layout, dtype):
    a, b = normal(1, 5, 8, dtype=dtype), normal(2, 8, 6, dtype=dtype)
    stored_a = np.ascontiguousarray(a.T) if layout[0] == "T" else a
    stored_b = np.ascontiguousarray(b.T) if layout[1] == "T" else b
    result = gemm.gemm(stored_a, stored_b, transpose_a=layout[0] == "T", transpose_b=layout[1] == "T")
    check_product(result.copy_to_host(), a, b)


@needs_gpu
@pytest.mark.parametrize(("precision", "unit"), [("tf32", 2.0**-11), ("3xtf32", 2.0**-21), ("bf16", 2.0**-8)])
def test_precision_and_out(small_tiles, precision, unit):
    a, b = normal(1, 5, 7), normal(2, 7, 6)
    out = cuda.to_device(np.full((5, 6), np.nan, "float32"))
    assert gemm.gemm(cuda.to_device(a), cuda.to_device(b), out, precision=precision) is out
    assert_close(out.copy_to_host(), a.astype("float64") @ b, rounded_gemm_bound(a, b, unit, products=3))


@needs_gpu
@pytest.mark.parametrize(("m", "n"), [(0, 3), (3, 0)])
def test_nothing_to_do(m, n):
    a, b, c = placed_operands(np.zeros((m, 4), "float32"), np.zeros((4, n), "float32"), "NN", aligned=True)
    gemm.multiply(a.matrix, b.matrix, c.matrix)


def placed(rows, columns, dtype="float32"):
    return Placed(np.zeros((rows, columns), dtype), aligned=True).matrix


@needs_gpu
@pytest.mark.parametrize(
    ("layout", "shapes"),
    [
        ("NN", [(2, 3), (4, 5), (2, 5)]),
        ("NT", [(2, 3), (3, 5), (2, 5)]),
        ("TN", [(2, 3), (3, 5), (2, 5)]),
        ("NN", [(2, 3), (3, 5), (5, 2)]),
    ],
)
def test_sizes_that_do_not_fit_are_refused(layout, shapes):
    with pytest.raises(ValueError, match=rf"sizes: got .* for layout '{layout}'"):
        gemm.multiply(*(placed(*shape) for shape in shapes), layout=layout)


@needs_gpu
def test_other_dtypes_are_refused():
    operands = [placed(2, 2), placed(2, 2, "float64"), placed(2, 2)]
    with pytest.raises(TypeError, match="b: got float64, expected float32 for precision 'tf32'"):
        gemm.multiply(*operands, precision="tf32")


@needs_gpu
@pytest.mark.parametrize(("kind", "missing"), [("bias", "u"), ("slope", "u"), ("sgd", "h"), ("adam", "u")])
def test_an_epilogue_without_its_arrays_is_refused(kind, missing):
    with pytest.raises(ValueError, match=f"{missing}: got None, expected an array for the epilogue {kind!r}"):
        gemm.multiply(placed(2, 2), placed(2, 2), placed(2, 2), epilogue=Epilogue(kind))


@needs_gpu
def test_both_transposed_is_refused():
    with pytest.raises(ValueError, match=r"\(B @ A\)\.T"):
        gemm.gemm(np.ones((2, 2), "float32"), np.ones((2, 2), "float32"), transpose_a=True, transpose_b=True)


@needs_gpu
def test_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="expected 2 dimensions"):
        gemm.matrix(cuda.to_device(np.ones(3, "float32")))


def test_large_matrices_get_large_tiles():
    sizes = [gemm.choose("float32", size, size, 132).rows for size in (16, 512, 1024, 4096)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    for precision, tiles in gemm.TILES.items():
        assert gemm.choose(precision, 1, 1, 132) == tiles[-1]
        assert gemm.choose(precision, 10**5, 10**5, 132) == tiles[0]


@pytest.mark.parametrize("precision", gemm.TILES)
def test_blocks_for_any_number_of_samples_can_be_launched(precision):
    """CUDA takes up to 2^31 - 1 blocks along x, where samples go, and 65,535 along y."""
    rows, columns = 10**9, 4096
    down, across = gemm.choose(precision, rows, columns, 132).grid(rows, columns)[0]
    assert 65_535 < down < 2**31
    assert across <= 65_535


def test_every_tile_fits_shared_memory():
    """A block may have 48 KB without asking; more would need a driver call that Numba does not offer."""
    for precision, tiles in gemm.TILES.items():
        for tile in tiles:
            longest = max((tile.rows + tile.padding) * tile.depth, tile.rows * (tile.depth + 4))
            longest += max((tile.columns + tile.padding) * tile.depth, tile.columns * (tile.depth + 4))
            assert tile.stages * longest * gemm.dtype_of(precision).itemsize <= 48 * 1024


@needs_gpu
def test_alignment_is_of_rows_and_of_their_beginning():
    assert placed(2, 4).aligned
    assert not Placed(np.zeros((2, 4), "float32"), aligned=False).matrix.aligned
