"""What `train` was asked for, and what follows from it and the data set's recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlp_scratch import checks
from mlp_scratch.backends import get_backend
from mlp_scratch.callbacks import Callback, EarlyStopping
from mlp_scratch.cli.options import hidden_widths
from mlp_scratch.cli.recipes import Recipe
from mlp_scratch.data.dataset import TASKS, Dataset, Task
from mlp_scratch.errors import ArgumentError, unknown_name
from mlp_scratch.layers import ACTIVATIONS
from mlp_scratch.losses import LOSSES, BinaryCrossEntropy, Loss
from mlp_scratch.mlp import MLP
from mlp_scratch.optimizers import OPTIMIZERS, Optimizer
from mlp_scratch.program import checked_precision


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line of `train`; None stands where the data set's recipe decides.

    Raises `ArgumentError` for a name that no table has, before any data are read.
    """

    data: str
    target: str | None
    task: Task | None
    test_fraction: float
    hidden: str | None
    activation: str
    dropout: float
    batch_norm: bool
    loss: str | None
    optimizer: str | None
    lr: float | None
    batch_size: int | None
    epochs: int | None
    validation: float | None
    patience: int | None
    backend: str
    dtype: str
    precision: str | None
    seed: int
    threads: int | None
    out: str | None
    plot: str | None
    json: str | None

    def __post_init__(self) -> None:
        tables: dict[str, Mapping[str, object]] = {
            "activation": ACTIVATIONS,
            "loss": LOSSES,
            "optimizer": OPTIMIZERS,
            "task": dict.fromkeys(TASKS),
        }
        for argument, table in tables.items():
            name = getattr(self, argument)
            if name is not None and name not in table:
                raise unknown_name(argument, name, table)
        get_backend(self.backend, threads=self.threads)
        checked_precision(self.precision, checks.float_dtype("dtype", self.dtype))
        checks.integer("seed", self.seed, at_least=0)
        if self.validation is not None:
            checks.real("validation", self.validation, above=0.0, below=1.0)

    @property
    def backend_name(self) -> str:
        """The backend that "auto" stands for."""
        return get_backend(self.backend, threads=self.threads).name


@dataclass(frozen=True)
class Choices:
    """What will be trained and how: the options with the recipe behind them."""

    hidden: tuple[int, ...]
    loss: Loss
    optimizer: Optimizer
    batch_size: int
    epochs: int
    callbacks: Sequence[Callback]


def choose(options: Options, recipe: Recipe) -> Choices:
    """The recipe wherever the options leave something open."""
    optimizer = recipe.optimizer if options.optimizer is None else OPTIMIZERS[options.optimizer]
    return Choices(
        hidden=recipe.hidden if options.hidden is None else hidden_widths(options.hidden),
        loss=LOSSES[options.loss or recipe.loss],
        optimizer=optimizer if options.lr is None else replace(optimizer, lr=options.lr),
        batch_size=recipe.batch_size if options.batch_size is None else options.batch_size,
        epochs=recipe.epochs if options.epochs is None else options.epochs,
        callbacks=() if options.patience is None else (EarlyStopping(options.patience),),
    )


def build(options: Options, choices: Choices, recipe: Recipe, dataset: Dataset) -> MLP:
    """The untrained network."""
    return MLP(
        [dataset.n_features, *choices.hidden, n_outputs(choices.loss, dataset)],
        activation=options.activation,
        dropout=options.dropout,
        batch_norm=options.batch_norm,
        weight_init=recipe.weight_init,
        dtype=options.dtype,
        seed=options.seed,
    )


def n_outputs(loss: Loss, dataset: Dataset) -> int:
    """One output a class, or for binary cross-entropy one for both; one a target for a regression.

    Raises `ArgumentError` for a loss that can't take class labels.
    """
    if dataset.task == "regression":
        return dataset.n_outputs
    one_hot = loss.prepare(np.eye(2), 2, np.dtype(np.float64))
    if loss.accuracies(np.zeros((2, 2)), one_hot) is None:
        raise ArgumentError(
            "loss",
            given=repr(loss.kind),
            expected=f"a loss for the {dataset.n_outputs} classes of {dataset.name}",
            mend="use cross_entropy, or --task regression for a file whose targets are quantities",
        )
    if not isinstance(loss, BinaryCrossEntropy):
        return dataset.n_outputs
    if dataset.n_outputs != 2:
        raise ArgumentError(
            "loss",
            given=f"{loss.kind!r} for {dataset.n_outputs} classes",
            expected="two classes",
            mend="use cross_entropy",
        )
    return 1
