"""What tables and the memory they point into have in common: the register tile, and where a vector may begin."""

from dataclasses import replace

import numpy as np

from mlp_kernels.cpu.features import tile_for
from mlp_kernels.cpu.tile import Tile
from mlp_scratch._types import Array


def tile_of(dtype: "np.dtype[np.floating]") -> Tile:
    """The machine's register tile for `dtype`, its rows a power of two so that they divide a panel."""
    tile = tile_for(dtype)
    return replace(tile, rows=1 << (tile.rows.bit_length() - 1))


def aligned_zeros(size: int, dtype: "np.dtype[np.generic]") -> Array:
    """A vector of zeros that begins at a cache line."""
    spare = 64 // dtype.itemsize
    vector = np.zeros(size + spare, dtype)
    start = -vector.ctypes.data % 64 // dtype.itemsize
    return vector[start : start + size]
