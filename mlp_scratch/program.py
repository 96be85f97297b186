"""A program: what a backend runs. The architecture becomes data, so that no backend compiles anything for it.

Lowering a model yields one operation a layer. A backend walks `operations`, or lowers them further to what its kernels
read; `table` and `constants` are the same as plain numbers, beside the flat vectors that the fields point into:

    listing of Sequential([Dense(64, 32), ReLU(), Dense(32, 10)]), cross_entropy, adam

      index  kind   n_in  n_out  parameters  buffers  constants
          0  dense    64     32           0        0  1
          1  relu     32     32        2080        0
          2  dense    32     10        2080        0  1
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mlp_scratch._types import Array, IntArray
from mlp_scratch.layers import LAYERS, Dense
from mlp_scratch.losses import LOSSES, Loss
from mlp_scratch.model import Model, Placed
from mlp_scratch.optimizers import KINDS, Optimizer

T = TypeVar("T")


class Column(IntEnum):
    """The columns of `Program.table`."""

    KIND = 0
    """The layer's row in `LAYERS`, -1 for a user's own."""
    N_IN = 1
    N_OUT = 2
    PARAMETERS = 3
    """Where its parameters start in the flat vector; they lie there in the order of `parameter_shapes`."""
    BUFFERS = 4
    """Where its buffers start in the buffer vector."""
    INDEX = 5
    """Its position in the model, the layer number of its random bits."""


MAX_CONSTANTS = 4


@dataclass(frozen=True)
class Program:
    """One model, one loss and one optimiser, lowered.

    Attributes:
        operations: the layers in order, with widths and places in the flat vectors.
        n_parameters, n_buffers: lengths of the flat vectors.
        dtype: of parameters and arithmetic.
        kept: what backends have worked out from all of this and want to find again, see `keep`.
    """

    operations: tuple[Placed, ...]
    loss: Loss
    optimizer: Optimizer
    n_parameters: int
    n_buffers: int
    dtype: "np.dtype[np.floating]"
    kept: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def keep(self, key: object, make: Callable[[], T]) -> T:
        """What `make` makes, made at the first call with this key."""
        if key not in self.kept:
            self.kept[key] = make()
        kept: T = self.kept[key]
        return kept

    @cached_property
    def table(self) -> IntArray:
        """One row an operation, one column a `Column`, int64."""
        kinds = list(LAYERS)
        table = np.zeros((len(self.operations), len(Column)), dtype=np.int64)
        parameters = buffers = 0
        for row, op in zip(table, self.operations, strict=True):
            row[Column.KIND] = kinds.index(op.layer.kind) if op.layer.kind in kinds else -1
            row[Column.N_IN], row[Column.N_OUT] = op.n_in, op.n_out
            row[Column.PARAMETERS], row[Column.BUFFERS] = parameters, buffers
            row[Column.INDEX] = op.index
            parameters = op.parameters[-1].stop if op.parameters else parameters
            buffers = op.buffers[-1].stop if op.buffers else buffers
        return table

    @cached_property
    def constants(self) -> npt.NDArray[np.float64]:
        """Each operation's own numbers (a slope, a probability, an eps), (operations, MAX_CONSTANTS), zero padded."""
        constants = np.zeros((len(self.operations), MAX_CONSTANTS))
        for row, op in zip(constants, self.operations, strict=True):
            own = op.layer.constants()
            row[: len(own)] = own
        return constants

    @property
    def loss_kind(self) -> int:
        """The loss's row in `LOSSES`."""
        return list(LOSSES).index(self.loss.kind)

    @property
    def optimizer_kind(self) -> int:
        """The optimiser's row in the table of optimiser kinds."""
        return list(KINDS).index(self.optimizer.kind)

    @cached_property
    def decayed(self) -> Array | float:
        """Where weight decay acts: 1.0 for everywhere, or a vector of ones and zeros, (P,)."""
        if self.optimizer.decay == "all":
            return 1.0
        mask = np.zeros(self.n_parameters, dtype=self.dtype)
        for op in self.operations:
            for part in op.parameters:
                if isinstance(op.layer, Dense) and part.name == "weight":
                    mask[part.start : part.stop] = 1
        return mask

    def __str__(self) -> str:
        """The listing shown at the top of this module."""
        header = ("index", "kind", "n_in", "n_out", "parameters", "buffers", "constants")
        rows: list[tuple[str, ...]] = [header]
        for op, row in zip(self.operations, self.table, strict=True):
            numbers = [str(row[c]) for c in (Column.N_IN, Column.N_OUT, Column.PARAMETERS, Column.BUFFERS)]
            constants = " ".join(f"{value:g}" for value in op.layer.constants())
            rows.append((str(op.index), op.layer.kind, *numbers, constants))
        widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
        left = {1, len(header) - 1}  # names to the left, numbers to the right
        lines = (
            "  ".join(x.ljust(w) if i in left else x.rjust(w) for i, (x, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)


def lower(model: Model, loss: Loss, optimizer: Optimizer) -> Program:
    """The program that trains `model` with `loss` and `optimizer`.

    >>> from mlp_scratch.layers import Dense, ReLU
    >>> from mlp_scratch.losses import CrossEntropy
    >>> from mlp_scratch.optimizers import Adam
    >>> model = Model([Dense(64, 32), ReLU(), Dense(32, 10)])
    >>> print(lower(model, CrossEntropy(), Adam()))
    index  kind   n_in  n_out  parameters  buffers  constants
        0  dense    64     32           0        0  1
        1  relu     32     32        2080        0
        2  dense    32     10        2080        0  1
    """
    return Program(model.placed, loss, optimizer, model.n_parameters, int(model.buffer_vector.size), model.dtype)
