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
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from mlp_scratch import checks
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

TILE = 16
"""About the side of the blocks that kernels work on."""


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
        if not np.iterable(seeds) or isinstance(seeds, str):
            raise ArgumentTypeError("seeds", given=checks.describe(seeds), expected="integers", mend="try range(10)")
        numbers = [checks.integer("seeds", seed, at_least=0) for seed in seeds]
        rates: list[float | None] = [None if rate is None else checks.real("lr", rate, above=0.0) for rate in _many(lr)]
        rules = [
            None if rule is None else checks.named("init", rule, INITIALIZERS, Initializer) for rule in _many(init)
        ]
        for name, values in (("seeds", numbers), ("lr", rates), ("init", rules)):
            if not values:
                raise ArgumentError(name, given="none", expected="at least one")
        self.models: list[Sequential] = []
        self.lr: list[float | None] = []
        for architecture, rule, rate, seed in product(architectures, rules, rates, numbers):
            self.models.append(_sibling(architecture, rule, seed))
            self.lr.append(rate)
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
        jobs = self._jobs(X, y, loss, chosen, sample_weight, checks.integer("batch_size", batch_size, at_least=1))
        # The largest first, so that none of them is what all the others have to wait for at the end.
        queue = sorted(range(len(jobs)), key=lambda i: -work(jobs[i].model))
        stopped = threading.Event()
        with ThreadPoolExecutor(min(workers, len(jobs))) as pool:
            try:
                futures = {i: pool.submit(jobs[i].run, NumbaBackend(threads=1), count, shuffle, stopped) for i in queue}
                self.errors = [futures[i].result() for i in range(len(jobs))]
            except BaseException:
                stopped.set()
                raise
        return self

    def _jobs(
        self, X: object, y: object, loss: Loss | str | None, optimizer: Optimizer, weight: object, batch_size: int
    ) -> list["_Job"]:
        """Every network with its samples, which those of equal shape share."""
        prepared: dict[object, tuple[Loss, Samples]] = {}
        jobs = []
        for model, rate in zip(self.models, self.lr, strict=True):
            shape = (model.n_inputs, model.n_outputs, model.dtype)
            if shape not in prepared:
                default = LOSSES["cross_entropy" if model.n_outputs > 1 else "mse"]
                chosen = default if loss is None else checks.named("loss", loss, LOSSES, Loss)
                prepared[shape] = chosen, prepare(model, chosen, X, y, weight)
            chosen, samples = prepared[shape]
            n, own = len(samples.X), optimizer if rate is None else replace(optimizer, lr=rate)
            size = min(batch_size, n)
            refuse_batches_of_one(model, n, size)
            slots = np.zeros((len(own.slots), model.n_parameters), model.dtype)
            training = Training(chosen, own, slots, model.seed, is_flat(y), n_samples=n, batch_size=size)
            jobs.append(_Job(model, samples, training))
        return jobs

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
    """One network to train."""

    def __init__(self, model: Sequential, samples: Samples, training: Training) -> None:
        self.model, self.samples, self.training = model, samples, training

    def run(
        self, backend: "NumbaBackend", epochs: int, shuffle: bool, stopped: threading.Event
    ) -> DivergedError | None:
        """Train for some epochs, an epoch a call, as `Sequential.fit` would."""
        from mlp_scratch.backends.numba import permutation

        model, training = self.model, self.training
        model.training, model.history = training, History()
        program = lower(model, training.loss, training.optimizer)
        state = State(model.flat, model.buffer_vector, training.slots)
        n, size = training.n_samples, training.batch_size
        records: list[Records] = []
        error = None
        for epoch in range(epochs):
            order = permutation(training.seed, epoch, n) if shuffle else np.arange(n)
            plan = Plan(order, size, np.full(-(-n // size), training.optimizer.lr), training.seed)
            records.append(Records(np.full(len(plan.lr), np.nan), np.full(len(plan.lr), np.nan)))
            start = perf_counter()
            try:
                taken = backend.train(program, state, self.samples, plan, records[-1], stopped.is_set)
            except DivergedError as diverged:
                error, taken = diverged, state.step - training.step
            training.step = state.step
            if error or taken < len(plan.lr):
                training.position = taken
                model.history.stopped = "" if error else "interrupted"
                break
            training.epoch += 1
            model.history.epochs.append(_summary(training.epoch, records[-1], n, size, perf_counter() - start))
        for part in ("losses", "accuracies"):
            figures = np.concatenate([getattr(record, part) for record in records])
            setattr(model.history, part, figures[: training.step])
        return error


def _summary(number: int, records: Records, n: int, size: int, seconds: float) -> Epoch:
    """The means over an epoch's samples."""
    sizes = np.minimum(size, n - size * np.arange(len(records.losses)))
    loss, accuracy = float(records.losses @ sizes / n), float(records.accuracies @ sizes / n)
    return Epoch(number, loss, None if np.isnan(accuracy) else accuracy, None, None, seconds, n / seconds)


def _sibling(model: Sequential, rule: Initializer | None, seed: int) -> Sequential:
    """A network of the same layers, drawn with another seed and, if given, by another rule."""
    layers = [
        replace(layer, weight_init=rule) if rule is not None and isinstance(layer, Dense) else layer
        for layer in model.layers
    ]
    return Sequential(layers, dtype=model.dtype, seed=seed)


def work(model: Sequential) -> int:
    """What a step of a network costs, relatively: its weights, each side of a matrix rounded up to a tile's.

    So many layers of few neurons cost what they cost, not what they learn.

    >>> from mlp_scratch.mlp import MLP
    >>> work(MLP([2, *[1] * 24, 1])) > work(MLP([2, 24, 1]))
    True
    """
    return sum(-(-op.n_in // TILE) * -(-op.n_out // TILE) for op in model.placed if isinstance(op.layer, Dense))


def _many(values: object) -> list[Any]:
    """A list of values, or one value, as a list."""
    return list(values) if isinstance(values, Sequence | np.ndarray) and not isinstance(values, str) else [values]
