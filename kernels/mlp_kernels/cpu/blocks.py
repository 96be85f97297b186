"""The blocks in which a dense layer's products are taken, so that what tiles share stays in the caches."""

from mlp_kernels.cpu.compiling import kernel

DEPTH = 256
"""Steps of a sum at a time: then the block of activations that all rows of a panel of weights meet stays in L1."""
BLOCK_ROWS = 64
"""Rows of weights at a time on the way back: those that dx has just read are still in L2 when dW updates them."""


@kernel
def even_block(size: int, most: int, multiple: int) -> int:
    """The length of nearly equal blocks of at most about `most`, a multiple of `multiple`: no short last one."""
    if size <= most:
        return size
    blocks = (size + most - 1) // most
    return ((size + blocks - 1) // blocks + multiple - 1) // multiple * multiple
