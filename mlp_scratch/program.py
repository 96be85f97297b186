"""A program: what a backend runs. The architecture becomes data, so that no backend compiles anything for it.

Lowering a model yields one operation a layer. A backend walks `operations`, or lowers them further to the tables of its
kernels; `table` and `constants` are the same as plain numbers, to look at, and to tell architectures apart. Places are
those in the flat vectors; a dense layer's constant is 1 for a bias.

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

from mlp_scratch import checks
from mlp_scratch._types import Array, IntArray
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import LAYERS, Dense
from mlp_scratch.losses import Loss
from mlp_scratch.model import Model
from mlp_scratch.optimizers import Optimizer
from mlp_scratch.placing import Placed

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
    TRAINABLE = 6
    """Whether training changes its parameters, 0 for a frozen layer."""


MAX_CONSTANTS = 4

PRECISIONS = {"float32": ("float32", "3xtf32", "tf32", "bf16"), "float64": ("float64",)}
"""What the products of dense layers may be made in while a model of each float type trains; its own type is first.

    of |A| |B|   an operand is rounded by   a product is off by, beside its sum
    3xtf32       2⁻²²                       3 · 2⁻²²    two tf32 numbers an operand: about as near as float32
    tf32         2⁻¹¹                       2 · 2⁻¹¹    10 bits of fraction
    bf16         2⁻⁸                        2 · 2⁻⁸     7 bits of fraction
"""


@dataclass(frozen=True)
class Program:
    """One model, one loss and one optimiser, lowered.

    Attributes:
        operations: the layers in order, with widths and places in the flat vectors.
        loss, optimizer: what training makes smaller, and how.
        n_parameters, n_buffers: lengths of the flat vectors.
        dtype: of parameters and arithmetic.
        precision: of the products of dense layers in training: the dtype's name, or one of the narrower `PRECISIONS`.
        kept: what backends have worked out from all of this and want to find again, see `keep`.
    """

    operations: tuple[Placed, ...]
    loss: Loss
    optimizer: Optimizer
    n_parameters: int
    n_buffers: int
    dtype: "np.dtype[np.floating]"
    precision: str
    kept: dict[object, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def rounds_products(self) -> bool:
        """Whether operands of products are rounded to less than the dtype, which takes tensor cores."""
        return self.precision != self.dtype.name

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
            row[Column.INDEX], row[Column.TRAINABLE] = op.index, op.layer.trainable
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

    @cached_property
    def frozen(self) -> tuple[slice, ...]:
        """Where the parameters of frozen layers lie in the flat vector, and in each slot."""
        frozen = [op.parameters for op in self.operations if op.parameters and not op.layer.trainable]
        return tuple(slice(fields[0].start, fields[-1].stop) for fields in frozen)

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
            kind = op.layer.kind if op.layer.trainable else f"{op.layer.kind}, frozen"
            rows.append((str(op.index), kind, *numbers, constants))
        widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
        left = {1, len(header) - 1}  # names to the left, numbers to the right
        lines = (
            "  ".join(x.ljust(w) if i in left else x.rjust(w) for i, (x, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)


def checked_precision(precision: str | None, dtype: "np.dtype[np.floating]") -> str:
    """The precision of products for a model of `dtype`, whose own it is where none is asked for.

    >>> checked_precision(None, np.dtype("float64")), checked_precision("tf32", np.dtype("float32"))
    ('float64', 'tf32')
    """
    if precision is None:
        return dtype.name
    fitting = {name: own for own, names in PRECISIONS.items() for name in names}
    fits = checks.named("precision", precision, fitting, str)
    if fits != dtype.name:
        raise ArgumentError(
            "precision",
            given=f"{precision!r} for a model in {dtype.name}",
            expected=" or ".join(map(repr, PRECISIONS[dtype.name])),
            mend=f"make the model with dtype={fits!r}",
        )
    return precision


def lower(model: Model, loss: Loss, optimizer: Optimizer, *, precision: str | None = None) -> Program:
    """The program that trains `model` with `loss` and `optimizer`; `precision` is one of `PRECISIONS`.

    >>> from mlp_scratch.layers import Dense, ReLU
    >>> from mlp_scratch.losses import CrossEntropy
    >>> from mlp_scratch.optimizers import Adam
    >>> model = Model([Dense(64, 32), ReLU(), Dense(32, 10)])
    >>> print(lower(model, CrossEntropy(), Adam()))
    index  kind   n_in  n_out  parameters  buffers  constants
        0  dense    64     32           0        0  1
        1  relu     32     32        2080        0
        2  dense    32     10        2080        0  1

    Raises:
        ArgumentError: for an optimiser with two slots of one name, of which a model file would hold one, and for a
            precision that does not fit.
    """
    names = tuple(optimizer.slots)
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(
                "optimizer",
                given=f"{type(optimizer).__name__} with {names.count(name)} slots of the name {name!r}",
                expected="a name for each, by which a model file finds it",
                mend="rename them",
            )
    return Program(
        model.placed,
        loss,
        optimizer,
        model.n_parameters,
        int(model.buffer_vector.size),
        model.dtype,
        checked_precision(precision, model.dtype),
    )
