"""The blocks in which products are taken, so that what tiles share stays in the caches."""

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.tile import Tile

DEPTH = 256
"""Steps of a sum at a time: then the block of activations that all rows of a panel of weights meet stays in L1."""
BLOCK_ROWS = 64
"""Rows of weights at a time on the way back: those that dx has just read are still in L2 when dW updates them."""


@kernel
def even_block(total: int, about: int, multiple: int) -> int:
    """The size of the blocks, a multiple of `multiple`, that divide `total` into equal parts of about `about`.

    300 steps in blocks of about 256 are one block, not 256 and 44.

    >>> even_block(300, 256, 1), even_block(784, 256, 1), even_block(10, 256, 8)
    (300, 262, 16)
    """
    if 2 * total < 3 * about:  # one block, without a division
        return (total + multiple - 1) // multiple * multiple
    blocks = (2 * total + about) // (2 * about)
    return (total + blocks * multiple - 1) // (blocks * multiple) * multiple


@kernel
def next_rows(tile: Tile, left: int, columns: int) -> int:
    """How many rows the next tile has where so many rows, and so many columns, are left.

    A tall tile keeps the multipliers busier, and for each load of a vector does more. With sixteen registers it has six
    rows, not four: a sum waits four cycles for its last addition, and eight sums are just done in those. Where a core
    begins few instructions in a cycle it has twelve, not eight. Neither divides a panel, so the last ones are lower: 16
    rows are 6 + 6 + 4, and 32 are 12 + 12 + 8; any multiple of the lower tile's rows comes out even. Where one vector
    holds all columns that are left, it is the lower one as well: the tall one has no narrow variants.
    """
    # In steps of what the heights differ by: to the row, 23 would be 12 + 8 + 8, beyond the 24 of three low ones.
    step = max(1, tile.tall_rows - tile.rows)
    whole = (left + step - 1) // step * step
    comes_out_even = whole >= tile.tall_rows + tile.rows or whole == tile.tall_rows
    if tile.tall_rows > 0 and columns > tile.lanes and comes_out_even:
        return tile.tall_rows
    return tile.rows if left > tile.few_rows else tile.few_rows
