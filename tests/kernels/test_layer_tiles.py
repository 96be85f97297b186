"""Each tile of a layer's products beside its reference, and the turning and packing of what they read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from mlp_kernels.cpu import blocks, layer_tiles, squares, totals, turning_tile, weights
from mlp_kernels.cpu.memory import pointer_like, pointer_to
from mlp_kernels.cpu.register_tile import reference
from tests.kernels.tiles import DEPTHS, FAR, FLAGS, forward, heights, lanes_of_panels, normal
from tests.tolerances import assert_close, eps, gemm_bound


@njit
def turned(tile, one, w, hop, outputs, x, depth, z, bias, floor):
    w, x, z, bias = pointer_to(w), pointer_to(x), pointer_to(z), pointer_to(bias)
    if one:
        turning_tile.turning_tile_of_one(tile, w, hop, outputs, x, depth, z, bias, floor)
    else:
        turning_tile.turning_tile(tile, w, hop, outputs, x, depth, z, bias, floor)


@njit
def to_inputs(tile, rows, w, hop, dz, depth, dx, first, x, cut, columns):
    w, dz, dx, x = pointer_to(w), pointer_to(dz), pointer_to(dx), pointer_to(x)
    nowhere = pointer_like(FAR, w), hop
    layer_tiles.input_tile(tile, rows, w, hop, dz, depth, dx, first, x, cut, columns, nowhere, nowhere, nowhere)


@njit
def transpose(tile, source, destination, sums, first, rows, samples):
    source, destination, sums = pointer_to(source), pointer_to(destination), pointer_to(sums)
    if samples < tile.lanes:
        squares.transpose_part(tile, source, destination, sums, first, rows, samples)
    else:
        squares.transpose_block(tile, source, destination, sums, first, rows, samples)


@njit
def sum_of_row(tile, row, samples):
    return totals.row_total(tile, pointer_to(row), samples)


@njit
def float64_sums(tile, row, weights, samples):
    row, weights = pointer_to(row), pointer_to(weights)
    return totals.float64_total(tile, row, None, samples), totals.float64_total(tile, row, weights, samples)


@st.composite
def rows_and_columns(draw, tile, most=1 << 20):
    """Of a tall tile always more columns than one vector has."""
    rows = draw(st.sampled_from([rows for rows in heights(tile) if rows <= most]))
    return rows, draw(st.integers(tile.lanes + 1 if rows > tile.rows else 1, 2 * tile.columns))


@settings(max_examples=25)
@given(left=st.integers(1, 200), columns=st.integers(1, 40))
def test_tiles_follow_each_other_to_the_last_row(tile, left, columns):
    """Of a multiple of the lower tile's rows none is missed, and of any number none beyond the next multiple touched.

    So a thread's share, which is such a multiple, never reaches into the next one's.
    """
    covered = 0
    while covered < left:
        rows = blocks.next_rows(tile, left - covered, columns)
        assert rows in heights(tile)
        covered += rows
    assert covered <= -(-left // tile.rows) * tile.rows
    if tile.tall_rows and columns > tile.lanes and left >= tile.tall_rows + tile.rows:
        assert blocks.next_rows(tile, left, columns) == tile.tall_rows


@settings(max_examples=25)
@given(depth=DEPTHS, first=FLAGS, cut=FLAGS, seed=st.integers(0, 99), data=st.data())
def test_forward(tile, depth, first, cut, seed, data):
    # A panel has no more outputs than columns.
    rows, columns = data.draw(rows_and_columns(tile, tile.columns), "rows, columns")
    most = heights(tile)[-1]
    w, x = normal(tile, depth, tile.columns, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    z, bias = normal(tile, most + 1, tile.columns), normal(tile, most)
    before = z.copy()
    start = np.repeat(bias[:rows, None], tile.columns, axis=1) if first else z[:rows].copy()
    forward(tile, rows, w, x, depth, z, bias, int(first), tile.dtype.type(0 if cut else -np.inf), columns, seed)
    expected = reference(*(a.astype(np.longdouble) for a in (w[:, :rows].T, x, start)))
    expected = np.maximum(expected, 0) if cut else expected
    bound = gemm_bound(np.hstack([w[:, :rows].T, start]), np.vstack([x, np.eye(tile.columns, dtype=x.dtype)]), x.dtype)
    assert_close(z[:rows, :columns], expected[:, :columns], bound[:, :columns])
    assert np.array_equal(z[rows:], before[rows:]), "rows beyond the tile"


@settings(max_examples=25)
@given(depth=DEPTHS, one=FLAGS, cut=FLAGS, hop=st.integers(0, 3), seed=st.integers(0, 99), data=st.data())
def test_turning_gives_the_bits_of_forward(tile, depth, one, cut, hop, seed, data):
    outputs, samples = data.draw(st.integers(1, tile.lanes), "outputs"), 1 if one else turning_tile.at_once(tile)
    memory = normal(tile, outputs * (depth + hop) - hop, seed=seed)  # not an element beyond the last output
    w = np.lib.stride_tricks.sliding_window_view(memory, depth)[:: depth + hop]
    x, bias = normal(tile, depth, tile.columns, seed=seed + 100), normal(tile, tile.columns)
    z, floor = normal(tile, tile.lanes + 1, tile.columns), tile.dtype.type(0 if cut else -np.inf)
    before = z.copy()
    turned(tile, one, memory, depth + hop, outputs, x, depth, z, bias, floor)

    packed = np.zeros((depth, tile.columns), tile.dtype)
    packed[:, :outputs] = w.T
    for h in range(0, outputs, tile.rows):
        expected = np.empty((tile.rows, tile.columns), tile.dtype)
        forward(tile, tile.rows, np.roll(packed, -h, axis=1), x, depth, expected, bias[h:], 1, floor, tile.columns)
        rows = min(tile.rows, outputs - h)
        assert np.array_equal(z[h : h + rows, :samples], expected[:rows, :samples])
    assert np.array_equal(z[:, samples:], before[:, samples:]), "columns beyond the samples"
    assert np.array_equal(z[tile.lanes :], before[tile.lanes :]), "rows beyond the tile"


@settings(max_examples=25)
@given(depth=DEPTHS, first=FLAGS, cut=FLAGS, seed=st.integers(0, 99), data=st.data())
def test_inputs(tile, depth, first, cut, seed, data):
    rows, columns, most = *data.draw(rows_and_columns(tile), "rows, columns"), heights(tile)[-1]
    w, dz = normal(tile, most, depth, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    dx, x = normal(tile, most + 1, tile.columns), normal(tile, most, tile.columns, seed=1)
    dz[:, columns:] = dx[:, columns:] = 0  # no gradient beyond the last sample
    before = dx.copy()
    padded = np.zeros((-(-depth // tile.columns) * tile.columns, tile.columns), tile.dtype)
    padded[:depth] = dz
    panels, hop = lanes_of_panels(w, tile), most * tile.columns
    dx[:rows, columns:] = 7 if first else 0  # left by another batch; a sum that goes on has had its zeros
    to_inputs(tile, rows, panels, hop, padded, depth, dx, int(first), x, int(cut), columns)
    w, x, start = w[:rows], x[:rows], np.zeros_like(dx[:rows]) if first else before[:rows]
    expected = reference(*(a.astype(np.longdouble) for a in (w, dz, start)))
    bound = gemm_bound(np.hstack([w, start]), np.vstack([dz, np.eye(tile.columns, dtype=dz.dtype)]), dz.dtype)
    assert_close(dx[:rows], expected * (x > 0) if cut else expected, bound)
    assert np.array_equal(dx[rows:], before[rows:]), "rows beyond the tile"


@njit
def transpose_one(tile, source, destination, sums, first):
    squares.transpose_column(tile, pointer_to(source), pointer_to(destination), pointer_to(sums), first)


@pytest.mark.parametrize("first", [False, True])
def test_one_column_by_itself(tile, first):
    source, row, sums = normal(tile, tile.lanes, tile.columns), normal(tile, tile.columns), normal(tile, tile.lanes)
    behind, start = row[tile.lanes :].copy(), np.zeros(tile.lanes, tile.dtype) if first else sums.copy()
    transpose_one(tile, source, row, sums, int(first))
    assert np.array_equal(row, [*source[:, 0], *behind])
    assert np.array_equal(sums, start + source[:, 0])


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("missing", [0, 1])
def test_transposition_and_the_sums_that_come_with_it(tile, half, first, missing):
    lanes, rows = tile.lanes, max(1, tile.lanes // 2) if half else tile.lanes
    source, destination = normal(tile, lanes, tile.columns), normal(tile, lanes, tile.columns, seed=1)
    sums, before, samples = normal(tile, lanes, seed=2), destination.copy(), lanes - missing
    source[:, samples:] = np.nan  # beyond the last sample lies anything
    start = np.zeros(lanes) if first else sums.astype(np.float64)
    transpose(tile, source, destination, sums, int(first), rows, samples)
    assert np.array_equal(destination[:samples, :rows], source[:rows, :samples].T)
    assert np.array_equal(destination[:, rows:], before[:, rows:]), "beyond the block"
    block = source[:rows, :samples].astype(np.float64)
    bound = (lanes + 1) * eps(tile.dtype) * (np.abs(block).sum(axis=1) + np.abs(start[:rows]))
    assert_close(sums[:rows], start[:rows] + block.sum(axis=1), bound)


def test_the_sum_of_a_row_is_that_of_its_samples(tile):
    for samples in range(1, 2 * tile.columns):  # of a whole panel there are samples left beyond it
        row = normal(tile, tile.columns, seed=samples)
        row[samples:] = np.nan
        here = row[:samples].astype(np.float64)
        assert_close(sum_of_row(tile, row, samples), here.sum(), tile.columns * eps(tile.dtype) * np.abs(here).sum())


def test_the_float64_sums_of_a_row_are_those_of_its_samples(tile):
    bound = 2 * tile.columns * eps(np.float64)
    for samples in range(1, 2 * tile.columns):
        row, weights = normal(tile, tile.columns, seed=samples), normal(tile, tile.columns, seed=samples + 100)
        row[samples:] = weights[samples:] = np.nan
        terms = row[:samples].astype(np.longdouble)
        plain, weighted = float64_sums(tile, row, weights, samples)
        assert_close(plain, terms.sum(), bound * np.abs(terms).sum())
        terms *= weights[:samples]
        assert_close(weighted, terms.sum(), bound * np.abs(terms).sum())


@settings(max_examples=25)
@given(outputs=st.integers(1, 70), inputs=st.integers(1, 70), threads=st.integers(1, 4), seed=st.integers(0, 99))
def test_weights_go_into_panels_and_come_back(tile, outputs, inputs, threads, seed):
    width, rows, before, after = tile.columns, inputs + 3, 2, 5
    flat, panels = normal(tile, before + outputs * inputs + after, seed=seed), -(-outputs // tile.columns)
    packed = np.full(1 + panels * rows * width, -7, tile.dtype)
    vectors, matrices = np.empty((0, 3), np.int64), np.array([[before, 1, outputs, inputs, rows]])
    for thread in range(threads):
        weights.move(tile, flat, vectors, matrices, packed, False, thread, threads)
    expected = np.full((panels * width, rows), -7, tile.dtype)
    expected[:outputs, :inputs] = flat[before : before + outputs * inputs].reshape(outputs, inputs)
    expected = expected.reshape(panels, width, rows).transpose(0, 2, 1)
    assert np.array_equal(packed[1:], expected.reshape(-1)), "padding is left as it is"
    back = np.zeros_like(flat)
    for thread in range(threads):
        weights.move(tile, back, vectors, matrices, packed, True, thread, threads)
    assert np.array_equal(back[before:-after], flat[before:-after])
    assert not back[:before].any()
    assert not back[-after:].any()


@settings(max_examples=25)
@given(panels=st.integers(1, 5), inputs=st.integers(1, 70), threads=st.integers(1, 4), seed=st.integers(0, 99))
def test_weights_are_turned_into_panels_where_they_lie_and_back(tile, panels, inputs, threads, seed):
    width, before, after = tile.columns, 2, 5
    flat = normal(tile, before + panels * width * inputs + after, seed=seed)
    turned, room = flat.copy(), np.empty(width * inputs, tile.dtype)
    matrices = np.array([[before, panels * width, inputs]])
    for thread in range(threads):
        weights.turn(tile, turned, matrices, room, False, thread, threads)
    expected = flat[before:-after].reshape(panels, width, inputs).transpose(0, 2, 1)
    assert np.array_equal(turned[before:-after], expected.reshape(-1))
    assert np.array_equal(turned[[0, 1, *range(-after, 0)]], flat[[0, 1, *range(-after, 0)]])
    for thread in range(threads):
        weights.turn(tile, turned, matrices, room, True, thread, threads)
    assert np.array_equal(turned, flat)
