"""Register tile and warp tile: every layout, alignment, float type and ragged size gives the product."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda, float32

from mlp_kernels.cuda import gemm, register_tile, slabs, warp_tile
from mlp_kernels.cuda.device import commit_copies, element_of, jit, ld1, shared_array, wait_for_copies_but
from mlp_kernels.cuda.tiles import Tile
from tests.kernels.operands import check_product
from tests.kernels_cuda.on_gpu import SMALL, Placed, needs_gpu, normal, placed_operands
from tests.tolerances import assert_close, summation_bound

LAYOUTS = ["NN", "NT", "TN"]


@needs_gpu
@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=5)
@given(
    m=st.integers(1, 21),
    n=st.integers(1, 37),
    k=st.integers(0, 11),
    aligned=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_register_tile(layout, m, n, k, aligned, dtype):
    a, b = normal(m, m, k, dtype=dtype), normal(n, k, n, dtype=dtype)
    in_a, in_b, c = placed_operands(a, b, layout, aligned=aligned)
    tile = SMALL["one warp, two stages"]
    kernel = register_tile.make_kernel(element_of(dtype), tile, layout, aligned=aligned)
    blocks, threads = tile.grid(m, n)
    kernel[blocks, threads](in_a.data, in_b.data, c.data, m, n, k, in_a.step, in_b.step, c.step)
    check_product(c.read(), a, b)


@needs_gpu
@pytest.mark.parametrize("tile", SMALL)
@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=4)
@given(
    m=st.integers(1, 37),
    n=st.integers(1, 37),
    k=st.integers(0, 19),
    aligned=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_warp_tile(tile, layout, m, n, k, aligned, dtype):
    a, b = normal(m, m, k, dtype=dtype), normal(n, k, n, dtype=dtype)
    in_a, in_b, c = placed_operands(a, b, layout, aligned=aligned)
    sums = cuda.to_device(np.full(m, np.nan, dtype))
    gemm.multiply(
        in_a.matrix,
        in_b.matrix,
        c.matrix,
        layout=layout,
        precision=dtype,
        row_sums=sums,
        tile=SMALL[tile],
    )
    check_product(c.read(), a, b)
    bound = summation_bound(k + 1, np.abs(a).sum(axis=1), dtype)
    assert_close(sums.copy_to_host(), a.astype(np.float64).sum(axis=1), bound, "row sums")


@needs_gpu
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator is NumPy, which warns of them
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("aligned", [True, False])
def test_nan_and_infinity_stay_in_their_rows_and_columns(layout, aligned):
    a, b = normal(1, 17, 6), normal(2, 6, 33)
    a[0, 1], a[1, 2], a[16, 3], b[3, 3], b[4, 32] = np.nan, np.inf, -np.inf, 0.0, np.inf
    in_a, in_b, c = placed_operands(a, b, layout, aligned=aligned)
    tile = SMALL["one warp, two stages"]
    gemm.multiply(in_a.matrix, in_b.matrix, c.matrix, layout=layout, tile=tile)
    check_product(c.read(), a, b)


@needs_gpu
def test_the_same_bits_in_every_run():
    a, b = normal(1, 20, 19), normal(2, 19, 21)
    in_a, in_b, c = placed_operands(a, b, "NT", aligned=True)
    results = []
    for _ in range(2):
        gemm.multiply(in_a.matrix, in_b.matrix, c.matrix, layout="NT", tile=SMALL["two warps, three stages"])
        results.append(c.read())
    np.testing.assert_array_equal(*results)


@needs_gpu
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("k_along_rows", [True, False])
@pytest.mark.parametrize("way", ["through registers", "copied by K", "copied as stored"])
def test_slabs_are_the_reference(way, k_along_rows, aligned):
    """The last slab of an operand, which ends beyond its edges both ways."""
    operand, first_row, first_k, width, depth = normal(1, 22, 11), 16, 8, 16, 8
    by_k = way != "copied as stored" or not k_along_rows
    slab = slabs.Slab(width, depth, k_along_rows, by_k, padding=4, threads=32)
    if way == "through registers":
        bring = slabs.make_loader(float32, slab, aligned=aligned)
    else:
        bring = slabs.make_copier(slab, aligned=aligned)
    wait, memory_of = wait_for_copies_but(0), shared_array(float32, slab.size)
    rows, steps = operand.shape
    row_step, k_step = slab.row_step, slab.k_step

    @jit
    def show(source, step, out):
        memory, thread = memory_of(), cuda.threadIdx.x
        bring(memory, 0, source, step, first_row, first_k, rows, steps, thread)
        commit_copies()
        wait()
        cuda.syncthreads()
        if thread < width:
            for k in range(depth):
                out[k, thread] = ld1(memory, thread * row_step + k * k_step)

    placed = Placed(operand, aligned=aligned, transposed=not k_along_rows)
    out = cuda.to_device(np.full((depth, width), np.nan, "float32"))
    show[1, 32](placed.data, placed.step, out)
    np.testing.assert_array_equal(out.copy_to_host(), slabs.reference(operand, first_row, first_k, width, depth))


@pytest.mark.parametrize("by_k", [True, False])
@pytest.mark.parametrize("k_along_rows", [True, False])
def test_elements_of_a_slab_have_places_of_their_own(by_k, k_along_rows):
    slab = slabs.Slab(16, 8, k_along_rows, by_k or not k_along_rows, padding=4, threads=32)
    places = {row * slab.row_step + k * slab.k_step for row in range(16) for k in range(8)}
    assert len(places) == 16 * 8
    assert max(places) < slab.size
    each_line, lines = slab.lines(4)
    assert each_line * lines * 4 == 16 * 8


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"rows": 48}, "warps that fill the block"),
        ({"lane_rows": 6}, "multiples of 4"),
        ({"padding": 2}, "multiples of 4"),
        ({"stages": 1}, "two stages"),
        ({"rows": 64, "warp_rows": 64}, "a thread for each row"),
    ],
)
def test_wrong_tiles_are_refused(change, complaint):
    good = {"rows": 32, "columns": 32, "depth": 4, "warp_rows": 32, "warp_columns": 32}
    Tile(**good)
    with pytest.raises(ValueError, match=complaint):
        Tile(**(good | change))


def test_a_tile_whose_lanes_do_not_fill_the_warp_is_refused():
    tile = Tile(32, 32, 4, warp_rows=32, warp_columns=32, lane_rows=4, lane_columns=4)
    with pytest.raises(ValueError, match="32 lanes"):
        warp_tile.make_kernel(element_of("float32"), tile)


def test_a_depth_that_threads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="powers of two"):
        slabs.Slab(32, 12, True, True, padding=4, threads=32).lines(1)
