"""The order of an epoch: samples sorted by one random word each, without the GIL.

The words are Philox's at the counter (sample // 4, 0, stream, epoch), word sample % 4; samples with equal words keep
their order. The reference is `np.argsort(words, kind="stable")`.

A sample is sorted as one number, its word above its own number. Two passes of a radix sort take two digits of the
word from the top, lower digit first, which together are so long that hardly two samples agree in both. What is then
still out of place, insertion puts right: one comparison a sample, where a third pass would move them all.
"""

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.dropout import philox, ten_rounds
from mlp_kernels.cpu.features import tile_for
from mlp_kernels.cpu.lanes import Words
from mlp_kernels.cpu.memory import load, local, pointer_to, shift, store
from mlp_kernels.cpu.vector_ir import Vectors

STREAM = 0xFFFFFFFF
"""The third counter word of shuffling."""

LANES = 16
"""Blocks whose words are drawn side by side: two of the widest vectors, so that one need not wait for itself."""

LEAST_BITS, MOST_BITS = 4, 11
"""Of a digit; with more, the counts of a pass would no longer stay in the nearest cache beside the samples."""

_PLACES = (1 << MOST_BITS) + 1
"""Counts of a pass: of each digit, and one for what is above the last."""


@kernel
def shuffle(seed: np.uint64, epoch: int, rows: Any, order: Any) -> None:
    """`rows`, int64 (n,), into `order` (n,), in the order of epoch `epoch`.

    >>> order = np.empty(6, np.int64)
    >>> shuffle(np.uint64(0), 0, np.arange(6), order)
    >>> order
    array([1, 5, 0, 3, 4, 2])
    """
    n, bits = rows.size, LEAST_BITS
    while bits < MOST_BITS and 4 << bits < n:
        bits += 1
    # Until the last pass there is room in `order`.
    keys, other = np.empty((n + 3) // 4 * 4, np.uint64), order.view(np.uint64)
    _draw(seed, epoch, n, keys)
    _sort_by_digit(keys[:n], 64 - 2 * bits, bits, other)
    _sort_by_digit(other, 64 - bits, bits, keys)
    _insert(keys[:n], rows, order)


@kernel
def _draw(seed: np.uint64, epoch: int, n: int, keys: Any) -> None:
    """The word of each of `n` samples above its number, in whatever order; `keys` has room for whole blocks of four.

    Side by side are drawn only blocks of samples that are all there: within those the order is not that of the samples.
    """
    half, number = np.uint64(32), np.uint64(epoch)
    together = n // (4 * LANES) * LANES
    for block in range(0, together, LANES):
        _draw_blocks(shift(pointer_to(keys), 4 * block), np.uint64(block), number, seed)
    for block in range(together, keys.size // 4):
        words = philox(np.uint64(block), np.uint64(0), np.uint64(STREAM), number, seed)
        for k in range(4):
            keys[4 * block + k] = words[k] << half | np.uint64(4 * block + k)


@intrinsic  # type: ignore[untyped-decorator]  # Numba's
def _draw_blocks(_context: Any, keys: Any, first: Any, epoch: Any, seed: Any) -> Any:
    """The keys of `LANES` blocks from block `first` on, first words first: in vectors, for LLVM makes none here.

    A block at a time, drawing them took longer than sorting them.
    """
    signature = types.void(keys, *[types.uint64] * 3)

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        keys, first, epoch, seed = arguments
        v = Vectors(builder, tile_for(np.dtype("float64")), LANES)
        constant = partial(Words.constant, v)
        lane = Words(v, ir.Constant(ir.VectorType(ir.IntType(64), LANES), list(range(LANES))))
        block = Words.of(v, first) + lane
        key = builder.and_(seed, ir.Constant(seed.type, 0xFFFFFFFF)), builder.lshr(seed, ir.Constant(seed.type, 32))
        counter = block, constant(0), constant(STREAM), Words.of(v, epoch)
        for k, word in enumerate(ten_rounds(*counter, *(Words.of(v, half) for half in key), constant)):
            numbered = word * constant(1 << 32) + block * constant(4) + constant(k)
            place = builder.gep(keys, [ir.Constant(ir.IntType(64), k * LANES)])
            builder.store(numbered.value, builder.bitcast(place, numbered.value.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return signature, generate


@kernel
def _sort_by_digit(keys: Any, lowest: int, bits: int, result: Any) -> None:
    """One stable pass: count the samples of each digit, then put each behind those before it."""
    low, mask = np.uint64(lowest), np.uint64((1 << bits) - 1)
    places = local(_PLACES, np.int64)
    for below in range((1 << bits) + 1):
        store(places, below, 0)
    for key in keys:
        above = np.int64(key >> low & mask) + 1
        store(places, above, load(places, above) + 1)
    for below in range(1 << bits):
        store(places, below + 1, load(places, below + 1) + load(places, below))
    for key in keys:
        digit = np.int64(key >> low & mask)
        place = load(places, digit)
        result[place] = key
        store(places, digit, place + 1)


@kernel
def _insert(keys: Any, rows: Any, order: Any) -> None:
    """Sort what is nearly in order, and write the rows that it stands for."""
    largest = np.uint64(0)
    for i in range(keys.size):
        key, place = keys[i], i
        if key < largest:
            while place > 0 and keys[place - 1] > key:
                keys[place], order[place] = keys[place - 1], order[place - 1]
                place -= 1
        else:
            largest = key
        keys[place], order[place] = key, rows[key & np.uint64(0xFFFFFFFF)]
