"""The register tile as a value: Python code chooses it, compiled code has it as constants."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlp_kernels.cpu.constants import compile_time


@compile_time(
    "lanes", "rows", "vectors", "columns", "panel_rows", "few_rows", "tall_rows", "half_lanes", "element_bytes"
)
@dataclass(frozen=True, slots=True)
class Tile:
    """A block of `rows` x (`vectors` * `lanes`) elements of `dtype` (float32 or float64) held in registers.

    `lanes` is a power of two: the elements in a vector register of the CPU. More are correct: LLVM splits them.
    `tall_rows` are those of a tile that fills the registers better but whose rows don't divide a panel, 0 where there
    is none: `blocks.next_rows` mixes the two.

    >>> tile = Tile(np.dtype("float32"), lanes=8, rows=6, vectors=2)
    >>> tile.columns, tile.panel_rows, tile.element_bytes
    (16, 8, 4)
    """

    dtype: np.dtype[Any]
    lanes: int
    rows: int
    vectors: int
    tall_rows: int = 0

    @property
    def columns(self) -> int:
        """Columns of the tile."""
        return self.vectors * self.lanes

    @property
    def panel_rows(self) -> int:
        """Elements from one step of a packed panel of A to the next: `rows` rounded up to a power of two.

        Powers of two can be transposed in registers, with shuffles alone.
        """
        return int(1 << (self.rows - 1).bit_length())

    @property
    def few_rows(self) -> int:
        """Rows of a smaller tile for what is left of a layer: with 8 rows, 10 outputs are 8 and 2."""
        return max(1, self.rows // 4)

    @property
    def half_lanes(self) -> int:
        """Half of a vector, for what few columns or samples are left."""
        return max(1, self.lanes // 2)

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)
