"""The vector copies make the panels that the plain reference makes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_kernels.cpu import packed
from mlp_kernels.cpu.packing import pack_columns, pack_rows
from mlp_kernels.cpu.tile import Tile
from tests.kernels.operands import LAYOUTS

TILES = [
    Tile(np.dtype("float32"), lanes=16, rows=8, vectors=2),
    Tile(np.dtype("float64"), lanes=8, rows=8, vectors=2),
    Tile(np.dtype("float32"), lanes=8, rows=6, vectors=2),
    Tile(np.dtype("float64"), lanes=4, rows=6, vectors=2),
    Tile(np.dtype("float32"), lanes=4, rows=6, vectors=2),
    Tile(np.dtype("float64"), lanes=2, rows=6, vectors=2),
    Tile(np.dtype("float32"), lanes=4, rows=5, vectors=3),
    Tile(np.dtype("float64"), lanes=2, rows=1, vectors=1),
]
layouts = st.sampled_from(sorted(LAYOUTS))


def destination(tile, panels, depth, width):
    """Room for all panels and `lanes` steps more, filled with NaN."""
    return np.full((panels * depth + tile.lanes) * width, np.nan, tile.dtype)


@pytest.mark.parametrize("tile", TILES, ids=str)
@given(rows=st.integers(1, 40), depth=st.integers(1, 70), layout=layouts)
def test_rows(tile, rows, depth, layout):
    matrix = np.arange(1.0, rows * depth + 1).reshape(rows, depth).astype(tile.dtype)
    source = LAYOUTS[layout](matrix)
    panels = -(-rows // tile.rows)
    to = destination(tile, panels, depth, tile.panel_rows)
    pack_rows(tile, source.ctypes.data, *source.strides, rows, depth, to.ctypes.data)
    got = to[: panels * depth * tile.panel_rows].reshape(panels, depth, tile.panel_rows)
    np.testing.assert_array_equal(got[:, :, : tile.rows], packed.pack(matrix.T, tile.rows))
    # What lies beyond the rows of a tile is never read, but it must be finite: no slow denormals, no traps.
    assert np.isfinite(got).all()


@pytest.mark.parametrize("tile", TILES, ids=str)
@given(columns=st.integers(1, 80), depth=st.integers(1, 70), layout=layouts)
def test_columns(tile, columns, depth, layout):
    matrix = np.arange(1.0, columns * depth + 1).reshape(depth, columns).astype(tile.dtype)
    source = LAYOUTS[layout](matrix)
    panels = -(-columns // tile.columns)
    to = destination(tile, panels, depth, tile.columns)
    pack_columns(tile, source.ctypes.data, *source.strides, depth, columns, to.ctypes.data)
    got = to[: panels * depth * tile.columns].reshape(panels, depth, tile.columns)
    np.testing.assert_array_equal(got, packed.pack(matrix, tile.columns))
