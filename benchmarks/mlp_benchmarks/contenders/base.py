"""What a contender is: one program that takes the steps it is told to, each as its framework's experts would.

A step is: gather the next mini-batch, forward, loss, backward, update. The loss of every step is kept, and may stay
on the framework's side until the clock has stopped.

A contender is made in a process of its own, in which the number of threads is already set.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.reference import AdamForm
from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray


class Contender(Protocol):
    """Trains one network. Only `run` is timed."""

    def __init__(self, work: Work) -> None:
        """Load data and weights into the framework.

        Raises:
            UnsuitableError: where the framework can't do this work.
        """

    def reset(self) -> None:
        """Go back to the injected weights and an optimiser that remembers nothing."""

    def prepare(self, rows: IntArray) -> Any:
        """The batches of some steps, int64 (steps, batch), in the form that `run` takes. It may be run repeatedly."""

    def run(self, batches: Any) -> Any:
        """Take the steps, and return when the last update is done, with whatever `losses` needs."""

    def losses(self, outcome: Any) -> npt.NDArray[np.float64]:
        """The loss of each step, (steps,), before its update."""


class UnsuitableError(Exception):
    """The contender can't do the work: it is skipped, with the message as the reason."""


@dataclass(frozen=True)
class Entry:
    """A contender before it is loaded: where it is, and what it needs.

    Attributes:
        path: "module:class".
        package: the package that must be installed; empty for none beyond our own.
        install: how to install it.
        adam_form: where this framework's Adam adds eps: "torch" or "keras" (`mlp_scratch.Adam`'s `eps_mode`). The
            two differ by more than rounding where gradients are tiny, so each is held to its own.
    """

    path: str
    package: str = ""
    install: str = ""
    adam_form: AdamForm = "torch"
