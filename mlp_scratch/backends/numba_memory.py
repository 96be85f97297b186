"""Where a vector may begin that kernels read."""

import numpy as np

from mlp_scratch._types import Array


def aligned_zeros(size: int, dtype: "np.dtype[np.generic]") -> Array:
    """A vector of zeros that begins at a cache line."""
    spare = 64 // dtype.itemsize
    vector = np.zeros(size + spare, dtype)
    start = -vector.ctypes.data % 64 // dtype.itemsize
    return vector[start : start + size]
