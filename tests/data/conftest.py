"""What the tests of the data sets share."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

WriteIdx = Callable[..., Path]


@pytest.fixture
def write_idx(tmp_path: Path) -> WriteIdx:
    """A function that writes an array of bytes as an IDX file, compressed where the name ends in .gz."""

    def write(name: str, array: np.ndarray) -> Path:
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = bytes([0, 0, 0x08, array.ndim]) + sizes + array.tobytes()
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
        return path

    return write


@pytest.fixture
def real_data() -> Path:
    """The folder of real data that `MLP_SCRATCH_DATA` names."""
    folder = os.environ.get("MLP_SCRATCH_DATA")
    if not folder:
        pytest.skip("MLP_SCRATCH_DATA is not set")
    return Path(folder)
