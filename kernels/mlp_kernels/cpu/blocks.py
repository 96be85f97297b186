"""The blocks in which products are taken, so that what tiles share stays in the caches."""

from mlp_kernels.cpu.compiling import kernel

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
