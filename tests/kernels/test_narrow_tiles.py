"""What stands in for the tiles where a batch is small or a layer has one output: the same numbers, or the same bits."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from mlp_kernels.cpu import column_tiles, small_batch
from mlp_kernels.cpu.memory import pointer_to
from tests.kernels.operands import GuardedMatrix
from tests.kernels.tiles import DEPTHS, FLAGS, forward, lanes_of_panels, normal
from tests.tolerances import assert_close, gemm_bound


@njit
def forward_few(tile, w, hop, x, depth, z, bias, floor, outputs, samples):
    small_batch.forward_panels(
        tile, pointer_to(w), hop, pointer_to(x), depth, pointer_to(z), pointer_to(bias), floor, outputs, samples
    )


@njit
def to_inputs_few(tile, w, hop, rest, after, dz, outputs, dx, x, cut, samples):
    small_batch.input_rows(
        tile,
        pointer_to(w),
        hop,
        pointer_to(rest),
        after,
        pointer_to(dz),
        dz.size // dz.shape[0],
        outputs,
        pointer_to(dx),
        pointer_to(x),
        cut,
        samples,
    )


@njit
def forward_column(tile, w, x, depth, z, bias, floor, columns):
    w, x, z, bias = pointer_to(w), pointer_to(x), pointer_to(z), pointer_to(bias)
    column_tiles.column_forward(tile, w, x, depth, z, bias, floor, columns)


@njit
def inputs_of_column(tile, w, dz, dx, x, cut, columns):
    w, dz, dx, x = pointer_to(w), pointer_to(dz), pointer_to(dx), pointer_to(x)
    column_tiles.column_input(tile, w, dz, dx, x, cut, columns)


@settings(max_examples=15)
@given(
    outputs=st.integers(1, 100),
    depth=DEPTHS,
    samples=st.integers(1, small_batch.MOST_FORWARD),
    cut=FLAGS,
    seed=st.integers(0, 99),
)
def test_forward_of_small_batch(tile, outputs, depth, samples, cut, seed):
    """The bits of the tile that is made for many."""
    panels, last = -(-outputs // tile.columns), -(-outputs // tile.lanes) * tile.lanes
    w, x = normal(tile, panels, depth, tile.columns, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    size = max(panels * tile.columns, panels * tile.columns // tile.rows * tile.rows)
    bias = normal(tile, size + tile.columns, seed=seed + 200)
    z, expected = np.full((size, tile.columns), 7, tile.dtype), np.zeros((size, tile.columns), tile.dtype)
    floor = tile.dtype.type(0 if cut else -np.inf)
    forward_few(tile, w, depth * tile.columns, x, depth, z, bias, floor, outputs, samples)
    for i in range(0, size, tile.rows):
        panel = np.ascontiguousarray(w[i // tile.columns, :, i % tile.columns : i % tile.columns + tile.rows])
        block = np.zeros((depth, tile.columns), tile.dtype)
        block[:, : tile.rows] = panel
        z_rows, biases = expected[i : i + tile.rows], bias[i : i + tile.rows]
        forward(tile, tile.rows, block, x, depth, z_rows, biases, 1, floor, tile.columns)
    assert np.array_equal(z[:outputs, :samples], expected[:outputs, :samples])
    assert (z[:, samples + 1 :] == 7).all(), "columns beyond the samples"
    assert (z[last:] == 7).all(), "rows beyond the last vector of outputs"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is protected with mprotect")
@pytest.mark.parametrize("panels", range(1, 8))
@pytest.mark.parametrize("samples", range(1, small_batch.MOST_FORWARD + 1))
def test_no_panel_beyond_the_last_is_read(tile, panels, samples):
    """Several are worked on at once. A touch of the guarded page would kill the interpreter."""
    depth, width = 9, tile.columns
    guarded = [GuardedMatrix(normal(tile, size, width), guard_after=True) for size in (panels * depth, panels)]
    w, bias = (each.matrix for each in guarded)
    x, z = normal(tile, depth, width), np.zeros((panels * width, width), tile.dtype)
    forward_few(
        tile, w, depth * width, x, depth, z, bias.reshape(-1), tile.dtype.type(-np.inf), panels * width, samples
    )
    weights = w.reshape(panels, depth, width).transpose(0, 2, 1).reshape(-1, depth)
    weights, inputs = np.append(weights, bias.reshape(-1, 1), axis=1), np.append(x, np.ones_like(x[:1]), axis=0)
    expected, bound = weights.astype(np.longdouble) @ inputs, gemm_bound(weights, inputs, x.dtype)
    assert_close(z[:, :samples], expected[:, :samples], bound[:, :samples])
    for each in guarded:
        each.release()


@settings(max_examples=15)
@given(
    outputs=st.integers(1, 100),
    samples=st.integers(1, small_batch.MOST_BACKWARD),
    cut=FLAGS,
    elsewhere=FLAGS,
    seed=st.integers(0, 99),
)
def test_inputs_of_small_batch(tile, outputs, samples, cut, elsewhere, seed):
    """Also with the last panel elsewhere."""
    w, dz = normal(tile, tile.rows, outputs, seed=seed), normal(tile, samples, outputs, seed=seed + 100)
    x, dx = normal(tile, tile.rows, tile.columns, seed=1), np.full((tile.rows, tile.columns), 7, tile.dtype)
    panels, gradients = lanes_of_panels(w, tile), lanes_of_panels(dz, tile)
    rest = outputs % tile.columns
    if rest:  # what lies beyond the last output is never read
        panels[-1, :, rest:] = gradients[-1, :, rest:] = np.nan
    last, after = panels[-1].copy(), 0
    if elsewhere and len(panels) > 1:
        panels[-1], after = np.nan, rest or tile.columns
    hop = tile.rows * tile.columns
    to_inputs_few(tile, panels, hop, last, after, gradients, outputs, dx, x, int(cut), samples)
    expected = w.astype(np.longdouble) @ dz.T
    slopes = x[:, :samples] > 0 if cut else 1
    assert_close(dx[:, :samples], expected * slopes, gemm_bound(w, np.ascontiguousarray(dz.T), w.dtype))
    assert not dx[:, samples:].any(), "no gradient beyond the last sample"


@settings(max_examples=15)
@given(depth=DEPTHS, cut=FLAGS, seed=st.integers(0, 99), data=st.data())
def test_one_output(tile, depth, cut, seed, data):
    columns = data.draw(st.integers(1, 2 * tile.columns), "columns")
    w, x = normal(tile, depth, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    z, bias = np.full((2, tile.columns), 7, tile.dtype), normal(tile, 1)
    forward_column(tile, w, x, depth, z, bias, tile.dtype.type(0 if cut else -np.inf), columns)
    expected = bias + w.astype(np.longdouble) @ x
    row = np.concatenate([w, bias])[None]
    bound = gemm_bound(row, np.vstack([x, np.ones_like(x[:1])]), x.dtype)[0]
    assert_close(z[0, :columns], (np.maximum(expected, 0) if cut else expected)[:columns], bound[:columns])
    assert (z[1] == 7).all()


@settings(max_examples=15)
@given(cut=FLAGS, seed=st.integers(0, 99), data=st.data())
def test_inputs_of_one_output(tile, cut, seed, data):
    columns = data.draw(st.integers(1, 2 * tile.columns), "columns")
    w, dz, x = normal(tile, tile.rows, seed=seed), normal(tile, tile.columns), normal(tile, tile.rows, tile.columns)
    dz[columns:] = 0
    dx = np.full((tile.rows + 1, tile.columns), 7, tile.dtype)
    inputs_of_column(tile, w, dz, dx, x, int(cut), columns)
    assert np.array_equal(dx[:-1], np.outer(w, dz) * ((x > 0) if cut else 1))
    assert (dx[-1] == 7).all()
