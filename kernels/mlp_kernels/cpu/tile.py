"""The register tile as a value: Python code chooses it, compiled code has it as constants.

A `Tile` says how a block of the result is held in vector registers: `rows` rows by `vectors` vectors of
`lanes` elements. To Numba each tile is a type of its own, so a kernel that takes one is compiled once per
tile, with `tile.rows` and its like as constants that loops can be unrolled by.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, models, overload_attribute, register_model, typeof_impl, unbox

from mlp_kernels.cpu.compiling import source_digest


@dataclass(frozen=True, slots=True)
class Tile:
    """A block of `rows` x (`vectors` * `lanes`) elements of `dtype` (float32 or float64) held in registers.

    >>> tile = Tile(np.dtype("float32"), lanes=8, rows=6, vectors=2)
    >>> tile.columns, tile.panel_rows
    (16, 8)
    """

    dtype: np.dtype[Any]
    lanes: int
    rows: int
    vectors: int

    @property
    def columns(self) -> int:
        """Columns of the tile."""
        return self.vectors * self.lanes

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def panel_rows(self) -> int:
        """Elements from one column of a packed panel of A to the next: `rows` rounded up to a power of two.

        Powers of two can be transposed in registers, with shuffles alone; the elements beyond `rows` are
        never read.
        """
        return int(1 << (self.rows - 1).bit_length())


class TileType(types.Type):  # type: ignore[misc]  # Numba's
    """The Numba type of one `Tile`; its name holds the digest of the sources, see `source_digest`."""

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        super().__init__(f"{tile} from sources {source_digest()}")

    @property
    def element(self) -> Any:
        """The Numba type of the tile's elements."""
        return types.float32 if self.tile.dtype == np.float32 else types.float64


@typeof_impl.register(Tile)  # type: ignore[untyped-decorator]  # Numba's
def _typeof_tile(tile: Tile, _context: Any) -> TileType:
    return TileType(tile)


@register_model(TileType)
class _TileModel(models.OpaqueModel):  # type: ignore[misc]  # Numba's
    """Nothing at run time: all that a tile says is in its type."""


@unbox(TileType)  # type: ignore[untyped-decorator]  # Numba's
def _unbox_tile(kind: TileType, _value: Any, context: Any) -> NativeValue:
    return NativeValue(cgutils.get_null_value(context.context.get_value_type(kind)))


def _constant_attribute(name: str) -> None:
    @overload_attribute(TileType, name)  # type: ignore[untyped-decorator]  # Numba's
    def attribute(tile: Any) -> Any:
        value = getattr(tile.tile, name)

        def constant(tile: Any) -> Any:  # Numba wants the annotations of the two to agree
            return value

        return constant


for _name in ("lanes", "rows", "vectors", "columns", "panel_rows", "element_bytes"):
    _constant_attribute(_name)
