"""Many networks at once: what a study with error bars needs.

Each network of a population has its own seed, learning rate and initialiser, its own order of the data and its own
dropout, and trains on one thread of the compiled CPU backend, which holds no lock; the data are shared. So as many
networks train at a time as there are cores, without a thread ever waiting for another, and each ends in the bits
that training it alone would have given.
"""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from time import perf_counter
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from mlp_scratch import checks
from mlp_scratch._types import IntArray
from mlp_scratch.backends.base import Plan, Records, Samples, State
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, DivergedError
from mlp_scratch.history import Epoch, History
from mlp_scratch.initializers import INITIALIZERS, Initializer
from mlp_scratch.layers import Dense
from mlp_scratch.losses import LOSSES, Loss
from mlp_scratch.optimizers import OPTIMIZERS, Optimizer
from mlp_scratch.program import lower
from mlp_scratch.samples import is_flat, prepare, refuse_batches_of_one
from mlp_scratch.sequential import Sequential
from mlp_scratch.training import Training

if TYPE_CHECKING:  # loads Numba
    from mlp_scratch.backends.numba import NumbaBackend


class Population:
    """Networks of one architecture or several: every combination of model, initialiser, learning rate and seed.

    Args:
        model: the architecture, or a list of them; their parameters are not used.
        seeds: of initial parameters, data order and dropout.
        lr: learning rates, or one; None takes the optimiser's.
        init: initialisers of all weights or their names, or one; None takes each layer's own.

    Attributes:
        models: the networks, seeds varying fastest, then lr, then init, then model.
        lr: the learning rate of each network, None for the optimiser's.
        errors: for each network None, or the `DivergedError` that ended its training.

    >>> X = np.random.default_rng(0).uniform(-1, 1, (64, 2))
    >>> nets = Population(Sequential([Dense(2, 4), Dense(4, 1)]), seeds=range(3), lr=[0.1, 0.01])
    >>> nets.fit(X, X[:, 0], loss="mse", optimizer="sgd", epochs=2).losses.shape
    (6, 2)
    """

    def __init__(
        self,
        model: Sequential | Sequence[Sequential],
        *,
        seeds: Iterable[int],
        lr: float | Sequence[float] | None = None,
        init: Initializer | str | Sequence[Initializer | str] | None = None,
    ) -> None:
        architectures = list(model) if isinstance(model, Sequence) else [model]
        if not architectures or not all(isinstance(each, Sequential) for each in architectures):
            raise ArgumentTypeError("model", given=checks.describe(model), expected="a model or a list of models")
        numbers = [checks.integer("seeds", seed, at_least=0) for seed in seeds]
        rates: list[float | None] = [None if rate is None else checks.real("lr", rate, above=0.0) for rate in _many(lr)]
        rules = [None if rule is None else checks.named("init", rule, INITIALIZERS, Initializer) for rule in _many(init)]
        self.models: list[Sequential] = []
        self.lr: list[float | None] = []
        for architecture, rule, rate, seed in product(architectures, rules, rates, numbers):
            self.models.append(_sibling(architecture, rule, seed))
            self.lr.append(rate)
        if not self.models:
            raise ArgumentError("seeds", given="none", expected="at least one seed", mend="try range(10)")
        self.errors: list[DivergedError | None] = [None] * len(self.models)

    def fit(
        self,
        X: object,
        y: object,
        *,
        loss: Loss | str | None = None,
        optimizer: Optimizer | str = "adam",
        batch_size: int = 32,
        epochs: int = 20,
        sample_weight: object = None,
        shuffle: bool = True,
        threads: int | None = None,
    ) -> Self:
        """Train every network from its initial parameters; arguments as for `Sequential.fit`.

        A network that diverges keeps its last finite parameters and is named in `errors`; the others go on.

        Raises:
            ArgumentError: for arguments that don't fit, before anything is changed.
            KeyboardInterrupt: for Ctrl-C; every network is at the end of a whole step.
        """
        from mlp_scratch.backends.numba import NumbaBackend, usable_cores  # loads Numba

        chosen = checks.named("optimizer", optimizer, OPTIMIZERS, Optimizer)
        count = checks.integer("epochs", epochs, at_least=1)
        workers = usable_cores() if threads is None else checks.integer("threads", threads, at_least=1)
        jobs = [
            _Job(model, X, y, loss, chosen if rate is None else replace(chosen, lr=rate), sample_weight, batch_size)
            for model, rate in zip(self.models, self.lr, strict=True)
        ]
        # The largest first, so that none of them is what all the others have to wait for at the end.
        queue = sorted(range(len(jobs)), key=lambda i: -jobs[i].model.n_parameters)
        stopped, backend = threading.Event(), NumbaBackend(threads=1)
        with ThreadPoolExecutor(min(workers, len(jobs))) as pool:
            try:
                futures = {i: pool.submit(jobs[i].run, backend, count, shuffle, stopped) for i in queue}
                self.errors = [futures[i].result() for i in range(len(jobs))]
            except BaseException:
                stopped.set()
                raise
        return self

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """The mean training loss of each epoch, (networks, epochs); NaN where a network had diverged."""
        epochs = max(len(model.history.epochs) for model in self.models)
        table = np.full((len(self.models), epochs), np.nan)
        for row, model in zip(table, self.models, strict=True):
            row[: len(model.history.epochs)] = model.history.column("loss")
        return table

    def __len__(self) -> int:
        return len(self.models)


class _Job:
    """One network to train, its arguments checked."""

    def __init__(
        self,
        model: Sequential,
        X: object,
        y: object,
        loss: Loss | str | None,
        optimizer: Optimizer,
        sample_weight: object,
        batch_size: int,
    ) -> None:
        default = LOSSES["cross_entropy" if model.n_outputs > 1 else "mse"]
        chosen = default if loss is None else checks.named("loss", loss, LOSSES, Loss)
        self.model, self.samples = model, prepare(model, chosen, X, y, sample_weight)
        n = len(self.samples.X)
        self.batch_size = min(checks.integer("batch_size", batch_size, at_least=1, mend="try 32"), n)
        refuse_batches_of_one(model, n, self.batch_size)
        slots = np.zeros((len(optimizer.slots), model.n_parameters), model.dtype)
        self.training = Training(chosen, optimizer, slots, model.seed, is_flat(y), n_samples=n, batch_size=self.batch_size)
