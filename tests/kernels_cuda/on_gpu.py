"""Matrices on the GPU, or in its simulator, for the tests of products.

A GPU runs these tests where there is one. Elsewhere `test_in_simulator` runs them in processes with Numba's CUDA
simulator, which takes milliseconds for what a GPU does in nanoseconds: tiles and matrices are small.
"""

import numpy as np
import pytest
from numba import cuda

from mlp_kernels.cuda.availability import unavailability
from mlp_kernels.cuda.gemm import Matrix
from mlp_kernels.cuda.tiles import Tile

needs_gpu = pytest.mark.skipif(bool(unavailability()), reason=unavailability() or "a GPU or its simulator")

SMALL = {
    "one warp, two stages": Tile(16, 32, 4, warp_rows=16, warp_columns=32, lane_rows=4, lane_columns=4),
    "two warps, three stages": Tile(
        32, 32, 4, warp_rows=16, warp_columns=32, lane_rows=4, lane_columns=4, stages=3, padding=8
    ),
    "warps side by side": Tile(16, 64, 8, warp_rows=16, warp_columns=32, lane_rows=4, lane_columns=4),
}
"""Tiles that the simulator is quick with."""


class Placed:
    """A matrix in a flat array whose rows are followed by NaN, that no kernel may use or overwrite."""

    def __init__(self, matrix, *, aligned, transposed=False):
        stored = matrix.T if transposed else matrix
        columns = stored.shape[1]
        self.step = -(-columns // 4) * 4 + 4 if aligned else columns + 1
        self.shape = stored.shape
        flat = np.full((stored.shape[0], self.step), np.nan, stored.dtype)
        flat[:, :columns] = stored
        self.data = cuda.to_device(flat.reshape(-1) if flat.size else np.zeros(4, stored.dtype))
        self.matrix = Matrix(self.data, *self.shape, self.step)

    def read(self):
        """The matrix as it is now; what surrounds it must be untouched."""
        rows, columns = self.shape
        flat = self.data.copy_to_host()[: rows * self.step].reshape(rows, self.step)
        assert np.isnan(flat[:, columns:]).all(), "a kernel wrote beyond the edge of a matrix"
        return flat[:, :columns].copy()


def placed_operands(a, b, layout, *, aligned):
    """A, B and an empty C as the layout has them."""
    empty = np.full((a.shape[0], b.shape[1]), np.nan, a.dtype)
    return (
        Placed(a, aligned=aligned, transposed=layout[0] == "T"),
        Placed(b, aligned=aligned, transposed=layout[1] == "T"),
        Placed(empty, aligned=aligned),
    )


def normal(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
