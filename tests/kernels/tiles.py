"""What the tests of tiles share: tiles of every vector unit, operands, and the forward tile others are held to."""

import numpy as np
from hypothesis import strategies as st
from numba import njit

from mlp_kernels.cpu import layer_tiles
from mlp_kernels.cpu.features import VectorUnit, panel_tile
from mlp_kernels.cpu.memory import pointer_like, pointer_to

UNITS = {
    "SSE": VectorUnit("SSE", 128, 16, False),
    "NEON": VectorUnit("NEON", 128, 32, True),
    "AVX2": VectorUnit("AVX2+FMA", 256, 16, True),
    "AVX-512": VectorUnit("AVX-512", 512, 32, True),
    "AVX-512, issue-bound": VectorUnit("AVX-512", 512, 32, True, issue_bound=True),
}
"""LLVM splits vectors wider than the CPU's, so each runs everywhere."""

DEPTHS, FLAGS = st.integers(1, 80), st.booleans()

FAR = 1 << 60
"""An address that no process has. What a tile asks for prefetches may lie anywhere: asking never faults."""


def a_tile(unit, dtype):
    """The tile of a unit and number type as the training loop has it."""
    return panel_tile(np.dtype(dtype), UNITS[unit])


def heights(tile):
    """The rows that a tile may have."""
    return sorted({tile.few_rows, tile.rows, tile.tall_rows} - {0})


def normal(tile, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(tile.dtype)


def lanes_of_panels(a, tile):
    """Rows of (R, K) as panels [ceil(K/w)][R][w], zeros in the lanes beyond K."""
    rows, k = a.shape
    panels = -(-k // tile.columns)
    padded = np.zeros((rows, panels * tile.columns), a.dtype)
    padded[:, :k] = a
    return np.ascontiguousarray(padded.reshape(rows, panels, tile.columns).transpose(1, 0, 2))


@njit
def forward(tile, rows, w, x, depth, z, bias, first, floor, columns, pace=0):
    w, x, z, bias = pointer_to(w), pointer_to(x), pointer_to(z), pointer_to(bias)
    nowhere = pointer_like(FAR, z), pace
    layer_tiles.forward_tile(tile, rows, w, x, depth, z, bias, first, floor, columns, nowhere, nowhere)
