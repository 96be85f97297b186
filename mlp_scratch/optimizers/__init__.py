"""The optimisers, one a file, and the tables that name them."""

from mlp_scratch.optimizers.adam import Adam as Adam
from mlp_scratch.optimizers.base import Optimizer as Optimizer
from mlp_scratch.optimizers.sgd import SGD as SGD

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "adam": Adam(),
    "adamw": Adam(weight_decay=1e-2, decoupled=True),
}
"""The optimisers by the names that `fit(optimizer=...)` and the command line take."""

KINDS: dict[str, type[Optimizer]] = {row.kind: row for row in (SGD, Adam)}
"""Optimiser classes by the name that model files record."""
