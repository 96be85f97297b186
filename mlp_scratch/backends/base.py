"""The contract that every backend keeps.

A backend turns a program and the flat vectors of a model into numbers. It owns no state between calls: what a call
changes is in the `State` that it is given, so a model can train on one backend, move to another and go on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlp_scratch._types import Array, IntArray
from mlp_scratch.program import Program


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
    """Which steps to take.

    Attributes:
        order: sample indices, int64 (n,); step i takes order[i·batch_size : (i+1)·batch_size], the last may be short.
        batch_size: samples a step.
        lr: the learning rate of each step, float64 (steps,).
        seed: of dropout masks.
    """

    order: IntArray
    batch_size: int
    lr: npt.NDArray[np.float64]
    seed: int


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

    def train(
        self,
        program: Program,
        state: State,
        samples: Samples,
        plan: Plan,
        records: Records,
        stop: Callable[[], bool],
    ) -> int:
        """Take the steps of `plan`, changing `state` in place, and return how many were taken.

        `stop` is asked between steps; once it is true the call returns, the state that of the last whole step.

        Raises:
            DivergedError: at a loss or gradient that is not finite; `state` is as it was before that step.
        """
