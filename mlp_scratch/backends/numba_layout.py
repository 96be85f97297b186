"""Where parameters lie in the packed vector that kernels read, and the way there and back.

Vectors come first (biases, slopes), those of frozen layers behind the others, since the optimiser's step ends before
them; then the weights in panels. Of a network too large to be copied, those weights whose panels have as many elements
as their rows are no part of the packed vector: they are turned into panels where they lie.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.weights import move, turn
from mlp_scratch._types import Array
from mlp_scratch.layers import Dense
from mlp_scratch.model import Field, Placed


class Vector(NamedTuple):
    """A vector of parameters: where it lies in the flat vector and in the packed one."""

    flat: int
    packed: int
    size: int


class Weights(NamedTuple):
    """A weight matrix (outputs, inputs): where it lies in the flat vector and in the packed one."""

    flat: int
    packed: int
    outputs: int
    inputs: int
    rows: int


class Turned(NamedTuple):
    """A weight matrix that stays in the flat vector: where it lies there."""

    flat: int
    outputs: int
    inputs: int


class Layout:
    """The packed vector of a program, its vectors placed and room for weights yet to be taken.

    Args:
        tile: the register tile of the kernels.
        ops: the operations of the program.
        is_frozen: whether an operation learns nothing.
        in_place: whether weights stay in the flat vector where they can.

    Attributes:
        size: elements so far.
        learning: of these, how many from the first on are vectors that learn.
        vectors_size: how many are vectors.
        longest: elements of the longest panel that is turned where it lies; 0 where none is.
    """

    def __init__(
        self, tile: Tile, ops: Sequence[Placed], is_frozen: Callable[[Placed], bool], *, in_place: bool = False
    ) -> None:
        self.tile, self.in_place, self.size, self.learning, self.longest = tile, in_place, 0, 0, 0
        self._vectors: list[Vector] = []
        self._weights: list[Weights] = []
        self._turned: list[Turned] = []
        self._places: dict[tuple[int, str], int] = {}
        for op in sorted(ops, key=is_frozen):
            for part in op.parameters:
                if not (isinstance(op.layer, Dense) and part.name == "weight"):
                    self._places[op.index, part.name] = self._new_vector(part)
            if not is_frozen(op):
                self.learning = self.size
        self.vectors_size = self.size
        unbiased = [op for op in ops if isinstance(op.layer, Dense) and not op.layer.bias]
        # Zeros that all of these share. No optimiser ever steps over them: Adam without eps makes NaN of a zero.
        zeros = self._reserve(max((op.n_out for op in unbiased), default=0), tile.lanes)
        self._places.update({(op.index, "bias"): zeros for op in unbiased})
        self.size += tile.columns  # a tile may read its biases to the end of a row

    def place(self, op: Placed, name: str) -> int:
        """Where a vector of an operation lies."""
        return self._places[op.index, name]

    def stays(self, dense: Placed) -> bool:
        """Whether a layer's weights stay in the flat vector: each panel must have as many elements as its rows."""
        return self.in_place and dense.n_out % self.tile.columns == dense.n_in % self.tile.rows == 0

    def place_weights(self, dense: Placed) -> tuple[int, int]:
        """Take room for a layer's weights, unless they stay; returns where they lie, and the rows of a panel."""
        rows = -(-dense.n_in // self.tile.rows) * self.tile.rows
        start, panels = dense.parameters[0].start, -(-dense.n_out // self.tile.columns)
        if self.stays(dense):
            place = start
            self._turned.append(Turned(start, dense.n_out, dense.n_in))
            self.longest = max(self.longest, rows * self.tile.columns)
        elif dense.n_out == 1:
            place = self._reserve(rows, self.tile.columns)
            self._vectors.append(Vector(start, place, dense.n_in))
        else:
            place = self._reserve(panels * rows * self.tile.columns, self.tile.columns)
            self._weights.append(Weights(start, place, dense.n_out, dense.n_in, rows))
        return place, rows

    def finish(self) -> None:
        """All weights have their places."""
        self.vectors = np.array(self._vectors, np.int64).reshape(-1, 3)
        self.weights = np.array(self._weights, np.int64).reshape(-1, 5)
        self.turned = np.array(self._turned, np.int64).reshape(-1, 3)

    def pack(self, flat: Array, packed: Array, thread: int = 0, threads: int = 1) -> None:
        """One flat vector of parameters, or of what an optimiser remembers of them: a thread's part."""
        move(self.tile, flat, self.vectors, self.weights, packed, False, thread, threads)

    def unpack(self, flat: Array, packed: Array, thread: int = 0, threads: int = 1) -> None:
        """The way back of `pack`."""
        move(self.tile, flat, self.vectors, self.weights, packed, True, thread, threads)

    def turn(self, flat: Array, room: Array, back: bool, thread: int = 0, threads: int = 1) -> None:
        """Weights that stay in a flat vector, from rows to panels or `back`; `room` (longest,) is a thread's own."""
        turn(self.tile, flat, self.turned, room, back, thread, threads)

    def _new_vector(self, part: Field) -> int:
        size = part.stop - part.start
        place = self._reserve(size, self.tile.lanes)
        self._vectors.append(Vector(part.start, place, size))
        return place

    def _reserve(self, size: int, multiple: int) -> int:
        """Room that begins and ends at a multiple."""
        place = -(-self.size // multiple) * multiple
        self.size = place + -(-size // multiple) * multiple
        return place
