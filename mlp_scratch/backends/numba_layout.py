"""Where parameters lie in the packed vector that kernels read, and the way there and back.

Vectors come first (biases, slopes), those of frozen layers behind the others, since the optimiser's step ends before
them; then the weights in panels. Of a network too large to be copied, only panels that are not full are part of the
packed vector: the others are turned into panels where their rows lie.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.weights import move, turn
from mlp_scratch._types import Array
from mlp_scratch.layers import Dense
from mlp_scratch.placing import Field, Placed


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
    """Outputs of a weight matrix that stay in the flat vector, as many as fill panels: where they lie there."""

    flat: int
    outputs: int
    inputs: int


class Panels(NamedTuple):
    """Where the weights of a layer are trained.

    Attributes:
        place: of the first panel, in the packed vector, or in the flat one where they stay there.
        rows: of a panel.
        n_panels: how many lie there one after the other.
        rest: of one more that is not full, always in the packed vector.
        stay: whether the first ones stay in the flat vector.
    """

    place: int
    rows: int
    n_panels: int
    rest: int = 0
    stay: bool = False


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
        self._n_flat = max((part.stop for op in ops for part in op.parameters), default=0)
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

    def place_weights(self, dense: Placed) -> Panels:
        """Take room for a layer's weights, or for those that don't stay in the flat vector."""
        start, outputs, inputs = dense.parameters[0].start, dense.n_out, dense.n_in
        rows = -(-inputs // self.tile.rows) * self.tile.rows
        if outputs == 1:
            place = self._reserve(rows, self.tile.columns)
            self._vectors.append(Vector(start, place, inputs))
            return Panels(place, rows, 1)
        if not (full := self._full_panels(dense)):
            return Panels(self._place_panels(start, outputs, inputs, rows), rows, -(-outputs // self.tile.columns))
        staying = full * self.tile.columns
        self._turned.append(Turned(start, staying, inputs))
        self.longest = max(self.longest, inputs * self.tile.columns)
        rest = 0
        if outputs > staying:
            rest = self._place_panels(start + staying * inputs, outputs - staying, inputs, rows)
        return Panels(start, inputs, full, rest, stay=True)

    def _full_panels(self, dense: Placed) -> int:
        """How many panels of a layer's weights stay in the flat vector, each in the place of its rows.

        A tile may read beyond the last input, though not beyond the vector.
        """
        full, beyond = dense.n_out // self.tile.columns, -dense.n_in % self.tile.rows
        end = dense.parameters[0].start + (full * dense.n_in + beyond) * self.tile.columns
        return full if self.in_place and end <= self._n_flat else 0

    def _place_panels(self, start: int, outputs: int, inputs: int, rows: int) -> int:
        place = self._reserve(-(-outputs // self.tile.columns) * rows * self.tile.columns, self.tile.columns)
        self._weights.append(Weights(start, place, outputs, inputs, rows))
        return place

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
