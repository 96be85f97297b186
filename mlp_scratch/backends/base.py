"""The contract that every backend keeps.

A backend turns a program and the flat vectors of a model into numbers. It owns no state between calls: what a call
changes is in the `State` that it is given, so a model can train on one backend, move to another and go on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from mlp_scratch._types import Array, IntArray
from mlp_scratch.program import Program
from mlp_scratch.random import permutation

Stop: TypeAlias = Callable[[], bool]
"""What a backend asks between steps: whether these were enough."""


@dataclass
class State:
    """What training changes.

    Attributes:
        flat: the parameters, (P,).
        buffers: the running statistics, (B,).
        slots: what the optimiser remembers, (S, P).
        step: how many steps these arrays have seen; the next one is `step + 1`.
    """

    flat: Array
    buffers: Array
    slots: Array
    step: int = 0


@dataclass(frozen=True)
class Samples:
    """A data set: X (N, D) of any dtype and layout, targets as the loss prepared them, weights (N,) or None."""

    X: Array
    targets: Array
    weights: Array | None = None

    def batch(self, rows: IntArray, dtype: "np.dtype[np.floating]") -> "Samples":
        """The samples at `rows`, X in `dtype` and C order: a batch is all that is ever copied."""
        X = np.ascontiguousarray(self.X[rows], dtype=dtype)
        return Samples(X, self.targets[rows], None if self.weights is None else self.weights[rows])


@dataclass(frozen=True)
class Plan:
    """Which steps to take: batches of the samples `rows`, epoch after epoch until there are no more learning rates.

    Attributes:
        rows: the samples of an epoch, int64 (n,).
        batch_size: samples a step; the last batch of an epoch may be short.
        lr: the learning rate of each step, float64 (steps,).
        seed: of dropout masks and of the order of each epoch.
        shuffle: whether each epoch has an order of its own, else that of `rows`.
        epoch: the number of the epoch that the first step belongs to, counted from 0.
        position: how many steps of that epoch were taken before.

    >>> plan = Plan(np.arange(5), 2, np.full(4, 0.1), seed=0)
    >>> [rows.tolist() for rows in plan.batches()]
    [[0, 1], [2, 3], [4], [0, 1]]
    """

    rows: IntArray
    batch_size: int
    lr: npt.NDArray[np.float64]
    seed: int
    shuffle: bool = False
    epoch: int = 0
    position: int = 0
    _drawn: list[tuple[IntArray, int, int, IntArray]] = field(default_factory=list, repr=False)
    """The last order that was drawn, after the rows, the seed and the epoch that it belongs to; a copy shares it."""

    @property
    def steps_an_epoch(self) -> int:
        """Of all batches, the short one included."""
        return -(-len(self.rows) // self.batch_size)

    def part(self, first: int, count: int) -> "Plan":
        """Steps `first` to `first + count` of this plan."""
        epochs, position = divmod(self.position + first, self.steps_an_epoch)
        return replace(self, lr=self.lr[first : first + count], epoch=self.epoch + epochs, position=position)

    def order(self, epoch: int) -> IntArray:
        """The samples of an epoch, counted from 0, as they are taken."""
        if not self.shuffle:
            return self.rows
        for rows, seed, number, order in self._drawn:
            if rows is self.rows and (seed, number) == (self.seed, epoch):
                return order
        order = self.rows[permutation(self.seed, epoch, len(self.rows))]
        self._drawn[:] = [(self.rows, self.seed, epoch, order)]
        return order

    def epochs(self) -> Iterator["Plan"]:
        """The plan an epoch at a time, each with its samples laid out as they will be taken."""
        first, epoch, position = 0, self.epoch, self.position
        while first < len(self.lr):
            lr = self.lr[first : first + self.steps_an_epoch - position]
            here = slice(position * self.batch_size, (position + len(lr)) * self.batch_size)
            yield Plan(self.order(epoch)[here], self.batch_size, lr, self.seed)
            first, epoch, position = first + len(lr), epoch + 1, 0

    def batches(self) -> Iterator[IntArray]:
        """The samples of each step."""
        for epoch in self.epochs():
            for i in range(len(epoch.lr)):
                yield epoch.rows[i * self.batch_size : (i + 1) * self.batch_size]


@dataclass(frozen=True)
class Records:
    """What the steps of a plan report, filled as they are taken: loss and mean accuracy of each batch, (steps,).

    Both are measured before the step's update. The accuracy of a regression is NaN.
    """

    losses: npt.NDArray[np.float64]
    accuracies: npt.NDArray[np.float64]


class Backend(Protocol):
    """Runs programs. Every backend passes one property suite that holds it to the NumPy backend."""

    name: str

    def refusal(self, program: Program) -> str:
        """What in `program` this backend has no code for, a user's own layer, say; empty if it can be run."""

    def logits(self, program: Program, state: State, X: Array) -> Array:
        """The model's output in inference, (N, K), for X (N, D) of any float or integer dtype and layout."""

    def loss_and_gradient(
        self, program: Program, state: State, samples: Samples, *, seed: int, step: int, training: bool
    ) -> tuple[float, Array]:
        """The loss of all samples as one batch and its gradient, (P,); changes nothing."""

    def train(self, program: Program, state: State, samples: Samples, plan: Plan, records: Records, stop: Stop) -> int:
        """Take the steps of `plan`, changing `state` in place, and return how many were taken.

        `stop` is asked between steps; once it is true the call returns, the state that of the last whole step.

        Raises:
            DivergedError: at a loss or gradient that is not finite; `state` is as it was before that step.
        """
