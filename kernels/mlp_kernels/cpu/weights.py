"""Weights between the layout that users see and panels, and a look at what has become of them.

    W (H, D), row by row                     [ceil(H/w)][D'][w], W[h, d] at panel h // w, row d, lane h % w

Both directions go square by square, so that neither side is walked with long strides only.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, pointer_to, shift, store
from mlp_kernels.cpu.tile import Tile

BLOCK = 64


@kernel
def pack_weights(tile: Tile, flat: Any, start: int, outputs: int, inputs: int, rows: int, packed: Any, to: int) -> None:
    """A matrix at `flat[start:]` into panels of `rows` rows at `packed[to:]`; the padding is left as it is."""
    width = tile.columns
    source, destination = shift(pointer_to(flat), start), shift(pointer_to(packed), to)
    for d0 in range(0, inputs, BLOCK):
        for h in range(outputs):
            place = h // width * rows * width + h % width
            for d in range(d0, min(d0 + BLOCK, inputs)):
                store(destination, place + d * width, load(source, h * inputs + d))


@kernel
def unpack_weights(
    tile: Tile, flat: Any, start: int, outputs: int, inputs: int, rows: int, packed: Any, to: int
) -> None:
    """The way back of `pack_weights`."""
    width = tile.columns
    destination, source = shift(pointer_to(flat), start), shift(pointer_to(packed), to)
    for d0 in range(0, inputs, BLOCK):
        for h in range(outputs):
            place = h // width * rows * width + h % width
            for d in range(d0, min(d0 + BLOCK, inputs)):
                store(destination, h * inputs + d, load(source, place + d * width))


@kernel
def all_finite(values: Any) -> bool:
    """Whether a vector holds no NaN and no infinity; as fast as memory is read, with no array of answers."""
    bad = np.int64(0)
    data = pointer_to(values)
    zero = number(data, 0.0)
    for i in range(values.size):
        difference = load(data, i) - load(data, i)  # 0, but NaN where not finite
        bad |= np.int64(difference != zero)
    return bad == 0
