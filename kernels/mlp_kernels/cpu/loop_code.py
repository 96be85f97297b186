"""The training loop in three pieces, which are compiled side by side: the loop, and its ways forward and back.

As one piece they would be most of what the first step of the first fit waits for. A step calls either way once, through
an address, which costs a few nanoseconds.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any

from numba import from_dtype, types

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.announcing import announcing
from mlp_kernels.cpu.caching import is_on_disk
from mlp_kernels.cpu.compilers import go_on
from mlp_kernels.cpu.constants import ConstantType
from mlp_kernels.cpu.elsewhere import elsewhere
from mlp_kernels.cpu.sections import backward_address, forward_address
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.training_loop import train

Ways = tuple[int, int]

_one_at_a_time = Lock()
_known: dict[Tile, Ways] = {}


@contextmanager
def loop_code(tile: Tile, cores: int) -> Iterator[Callable[[], Ways]]:
    """Have `train` compiled for a tile; the function yielded waits for that and gives the addresses of its ways.

    With two cores or more its ways are compiled elsewhere, while the block compiles what else a network needs.
    """
    if tile in _known:
        yield lambda: _known[tile]
        return

    def ways() -> Ways:
        with announcing(f"the training loop for {tile.dtype}"):
            train.compile(kinds)
            wait()
        _known[tile] = forward_address(tile), backward_address(tile)
        return _known[tile]

    kinds, jobs = loop_types(tile), (forward_address, backward_address)
    with _one_at_a_time:
        go_on()  # many may have waited here
        split = tile not in _known and cores > 1 and not is_on_disk(train, kinds)
        with elsewhere([partial(job, tile) for job in jobs] if split else []) as wait:
            yield ways


def loop_types(tile: Tile) -> tuple[Any, ...]:
    """The types of `train`'s arguments."""
    ints, table = (types.Array(types.int64, dimensions, "C") for dimensions in (1, 2))
    reals, constants = (types.Array(types.float64, dimensions, "C") for dimensions in (1, 2))
    floats, packed = (types.Array(from_dtype(tile.dtype), dimensions, "C") for dimensions in (1, 2))
    data_and_order, figures = (ints,) * 6, (reals, reals)
    net = types.NamedTuple((table, table, constants, ints, ints, reals, reals), nw.Network)
    memory = types.NamedTuple((packed, floats, floats, floats, ints, reals, floats), nw.Memory)
    numbers = types.boolean, types.int64, reals, types.uint64, types.int64, types.int64, types.int64
    batches = types.NamedTuple((*data_and_order, *numbers), nw.Batches)
    range_ = types.int64, types.int64, types.boolean
    return (ConstantType(tile), net, memory, batches, *range_, *figures, types.int64, types.int64)
