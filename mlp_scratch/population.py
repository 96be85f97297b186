"""Many networks at once: what a study with error bars needs.

Each network of a population has its own seed, learning rate and initialiser, its own order of the data and its own
dropout; the data are shared. On the CPU each trains on one thread of the compiled backend, which holds no lock: as
many networks at a time as there are cores, without a thread ever waiting for another. On a GPU each trains on one
block of threads, thousands of them in one launch. Either way a network ends in the bits that training it alone in
that way would have given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from mlp_scratch import checks
from mlp_scratch.backends import get_backend
from mlp_scratch.backends.base import Samples
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, DivergedError
from mlp_scratch.initializers import INITIALIZERS, Initializer
from mlp_scratch.jobs import Job, on_gpu, on_threads
from mlp_scratch.layers import Dense
from mlp_scratch.losses import LOSSES, Loss
from mlp_scratch.optimizers import OPTIMIZERS, Optimizer
from mlp_scratch.program import Program, lower
from mlp_scratch.samples import is_flat, prepare, refuse_batches_of_one
from mlp_scratch.sequential import Sequential
from mlp_scratch.training import Training


class Population:
    """Networks of one architecture or several: every combination of model, initialiser, learning rate and seed.

    Args:
        model: the architecture, or a list of them; of one that was fitted the loss is used, the parameters are not.
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
        self._architectures: list[int] = []
        self._tasks = [each.task for each in architectures]
        for number, rule, rate, seed in product(range(len(architectures)), rules, rates, numbers):
            self.models.append(_sibling(architectures[number], rule, seed))
            self.lr.append(rate)
            self._architectures.append(number)
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
        backend: str = "auto",
        threads: int | None = None,
    ) -> Self:
        """Train every network from its parameters as they are, optimiser anew; arguments as for `Sequential.fit`.

        With `backend="cuda"` networks of one architecture train in the same launches, a block of threads each.

        A network that diverges keeps its last finite parameters and is named in `errors`; the others go on.

        Raises:
            ArgumentError: for arguments that don't fit, before anything is changed.
            KeyboardInterrupt: for Ctrl-C; every network is at the end of a whole step. One that was not begun has its
                parameters as they were and a history of no steps, like the others that were "interrupted".
        """
        name = get_backend(backend).name
        if name not in ("numba", "cuda"):
            raise ArgumentError(
                "backend",
                given=repr(backend),
                expected="'auto', 'numba' or 'cuda'",
                mend="fit single models with numpy",
            )
        chosen = checks.named("optimizer", optimizer, OPTIMIZERS, Optimizer)
        count = checks.integer("epochs", epochs, at_least=1)
        shuffle = checks.boolean("shuffle", shuffle)
        from mlp_scratch.backends.numba_cores import usable_threads  # loads what `import mlp_scratch` does without

        workers = usable_threads()
        if threads is not None:
            workers = min(workers, checks.integer("threads", threads, at_least=1))
        jobs = self._jobs(X, y, loss, chosen, sample_weight, checks.integer("batch_size", batch_size, at_least=1))
        programs = {id(job.program): job.program for job in jobs}.values()
        if backend == "auto" and any(get_backend("auto", program).name != "cuda" for program in programs):
            name = "numba"  # a GPU that there is may have no kernel for one of them
        if unknown := next((reason for program in programs if (reason := get_backend(name).refusal(program))), ""):
            raise ArgumentError(
                "backend",
                given=f"{backend!r} for a model with {unknown}",
                expected="layers, losses and optimisers of the package itself",
                mend="fit single models with backend='numpy'",
            )
        try:
            (on_gpu if name == "cuda" else partial(on_threads, workers))(jobs, count, shuffle)
        finally:
            self.errors = [job.error for job in jobs]
        return self

    def _jobs(
        self, X: object, y: object, loss: Loss | str | None, optimizer: Optimizer, weight: object, batch_size: int
    ) -> list[Job]:
        """Every network with its samples, which those of one shape and loss share, and its program, as siblings do."""
        given = None if loss is None else checks.named("loss", loss, LOSSES, Loss)
        prepared: dict[object, Samples] = {}
        programs: dict[object, Program] = {}
        jobs = []
        for model, architecture, rate in zip(self.models, self._architectures, self.lr, strict=True):
            chosen = given or (self._tasks[architecture] if model.training is None else model.task)
            shape = (model.n_inputs, model.n_outputs, model.dtype, id(chosen))
            if shape not in prepared:
                prepared[shape] = prepare(model, chosen, X, y, weight)
            samples = prepared[shape]
            n, own = len(samples.X), optimizer if rate is None else replace(optimizer, lr=rate)
            size = min(batch_size, n)
            refuse_batches_of_one(model, n, size)
            slots = np.zeros((len(own.slots), model.n_parameters), model.dtype)
            training = Training(chosen, own, slots, model.seed, is_flat(y), n_samples=n, batch_size=size)
            siblings = (architecture, id(chosen))
            if siblings not in programs:  # whose learning rate nobody reads: each step comes with its own
                programs[siblings] = lower(model, chosen, own)
            jobs.append(Job(model, programs[siblings], samples, training))
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


def _sibling(model: Sequential, rule: Initializer | None, seed: int) -> Sequential:
    """A network of the same layers, drawn with another seed and, if given, by another rule."""
    layers = [
        replace(layer, weight_init=rule) if rule is not None and isinstance(layer, Dense) else layer
        for layer in model.layers
    ]
    return Sequential(layers, dtype=model.dtype, seed=seed)


def _many(values: object) -> list[Any]:
    """A list of values, or one value, as a list."""
    if isinstance(values, np.ndarray):
        return list(np.atleast_1d(values))  # an array of no axes is one value
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values]
