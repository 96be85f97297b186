"""Arrays in float32, as far as they fit."""

import numpy as np

from mlp_scratch.testing.function import Arrays


def in_single(arrays: Arrays) -> Arrays | None:
    """The same arrays in float32; None where one of their numbers is beyond it, for then nothing can be compared.

    >>> in_single({"x": np.array([1e300])}) is None
    True
    """
    with np.errstate(over="ignore"):
        narrow = {name: value.astype(np.float32) for name, value in arrays.items()}
    return narrow if all(np.isfinite(value).all() for value in narrow.values()) else None
