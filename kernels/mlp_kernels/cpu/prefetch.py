"""Software prefetching: tiles ask, while their multiply-adds run, for the memory that the next tiles will touch.

A core looks some dozen steps ahead by itself, and an answer from memory, or from a cache that cores share, takes
longer than those: at every new block of weights or results it would stand still. A prefetch is one instruction, of
which a core has many to spare beside its multiply-adds, and changes no number. They are spread over the steps of the
sum, since a core has only so many line-fill buffers, one for each line that it waits for.

    near     what the tile itself, or the next one, writes: into L1
    far      what tiles read that come later: into L2, for L1 is just large enough for what is read now

A kernel hands a tile pairs of where to begin and how many elements to go on by at each step.
"""

from typing import Any, NamedTuple, TypeAlias

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mlp_kernels.cpu.blocks import BLOCK_ROWS
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import shift
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.vector_ir import Vectors

Step: TypeAlias = ir.Value | int

LEAST_ROWS = 8
"""Of the register tile: a step of fewer multiply-adds, on CPUs with 16 registers, has nothing to spare for it."""


class Prefetch(NamedTuple):
    """Lines that are prefetched step by step.

    Attributes:
        place: where they begin.
        pace: how far from one step to the next, in what `place` points to.
        near: whether they will be written soon, and are wanted in L1; else in L2.
        hop: how far from where they begin in one panel to where in the next; None where they just go on.
    """

    place: ir.Value
    pace: Step
    near: bool
    hop: ir.Value | None = None


def pair_of(element: Any) -> Any:
    """The type of a place and a pace."""
    return types.Tuple((element, types.int64))


def prefetch_of(v: Vectors, pair: ir.Value, *, near: bool, hop: ir.Value | None = None) -> list[Prefetch]:
    """The lines that a pair stands for, if they are to be prefetched."""
    if v.tile.rows < LEAST_ROWS:
        return []
    place, pace = cgutils.unpack_tuple(v.builder, pair, 2)
    return [Prefetch(place, pace, near, hop)]


NEAR_STEPS = 128
"""In so many steps a tile prefetches a block of results."""


@kernel
def block_prefetch(tile: Tile, block: Any) -> Any:
    """How a block of results is prefetched: in a constant pace, for a division takes as long as a small tile."""
    return block, max(1, tile.rows * tile.columns // NEAR_STEPS)


@kernel
def part_prefetch(tile: Tile, block: Any, part: int, steps: int, pace: int) -> Any:
    """How tile number `part` prefetches, in `steps` steps, its part of a block that several tiles share."""
    return shift(block, part * steps * pace), pace


@kernel
def shared_pace(tile: Tile) -> int:
    """The pace at which the tiles of `BLOCK_ROWS` rows together prefetch a panel of dz, the next that they will read.

    A panel has as many rows, of w elements, as a tile takes steps. There are `BLOCK_ROWS` / R tiles of R rows, so at
    each step each of them prefetches w R / `BLOCK_ROWS` elements.
    """
    return max(1, tile.rows * tile.columns // BLOCK_ROWS)
