"""What a contender is: one program that takes the steps it is told to, each as its framework's experts would.

A step is: gather the next mini-batch, forward, loss, backward, update. The loss of every step is kept, and may stay
on the framework's side until the clock has stopped.

A contender is made in a process of its own, in which the number of threads is already set.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.process import Device
from mlp_benchmarks.reference import AdamForm


class Contender(Protocol):
    """Does one job. Only `run` is timed.

    One that works on a GPU also has `stopwatch()`, which makes an object with `start()` and `stop()`, the seconds in
    between by the GPU's own events. One that compiles anew for each number of steps says so by a class variable
    `compiles_each_length`.
    """

    def __init__(self, job: Any) -> None:
        """Load data and weights into the framework.

        Raises:
            UnsuitableError: where the framework can't do this job.
        """

    def reset(self) -> None:
        """Go back to the injected weights and an optimiser that remembers nothing."""

    def prepare(self, batches: Any) -> Any:
        """Some steps in the form that `run` takes; for training, int64 (steps, batch). It may be run repeatedly."""

    def run(self, batches: Any) -> Any:
        """Take the steps, and return when the last update is done, with whatever `evidence` needs."""

    def evidence(self, outcome: Any) -> npt.NDArray[np.float64]:
        """What shows that the work was done; for training the loss of each step, (steps,), before its update."""


class UnsuitableError(Exception):
    """The contender can't do the work: it is skipped, with the message as the reason."""


@dataclass(frozen=True)
class Entry:
    """A contender before it is loaded: where it is, and what it needs.

    Attributes:
        path: "module:class".
        packages: the packages that must be installed, with spaces between them; empty for none beyond our own.
        install: how to install them.
        adam_form: how this framework writes Adam; each is held to its own, since the forms differ by more than
            rounding.
        most_loss: what the framework cuts the loss of a sample off at, in what it reports only; None if it does not.
        many_steps: whether one call takes many steps, and may have costs that they share.
        device: "gpu" for one that is to see the GPUs.
    """

    path: str
    packages: str = ""
    install: str = ""
    adam_form: AdamForm = "torch"
    most_loss: float | None = None
    many_steps: bool = False
    device: Device = "cpu"

    @property
    def installed(self) -> bool:
        """Whether all its packages are there, told without loading them.

        >>> Entry("math:pi", "json math").installed, Entry("math:pi", "json no_such_package").installed
        (True, False)
        """
        return all(find_spec(package) is not None for package in self.packages.split())
