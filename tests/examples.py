"""Examples of every row of the tables: what most tests loop over.

A new layer, loss or optimiser is found through its table. A layer that can be made without arguments is one of the
examples at once, and so is a loss whose targets are among those below; for any other, `KeyError` or `TypeError`
says that an example is missing, and every test that loops fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from mlp_scratch.layers import ELU, GELU, LAYERS, BatchNorm, Context, Dense, Dropout, Layer, LeakyReLU, PReLU, Softplus
from mlp_scratch.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, Huber, Loss
from mlp_scratch.optimizers import OPTIMIZERS, SGD, Adam, Optimizer

WIDTH = 6
"""Inputs of every example layer: even and square beside `Dense(6, 6)`, so that a swapped transpose fits."""

MORE_LAYERS: dict[str, list[Layer]] = {
    "dense": [Dense(WIDTH, 4), Dense(WIDTH, WIDTH), Dense(WIDTH, 4, bias=False)],
    "leaky_relu": [LeakyReLU(), LeakyReLU(0.3)],
    "prelu": [PReLU(), PReLU(0.1, per_feature=True)],
    "elu": [ELU(), ELU(0.5)],
    "gelu": [GELU(), GELU("tanh")],
    "softplus": [Softplus(), Softplus(2.0, threshold=1.5)],
    "dropout": [Dropout(0.4), Dropout(0.0)],
    "batch_norm": [BatchNorm(), BatchNorm(eps=1e-3, momentum=0.3)],
}

MORE_OPTIMIZERS: list[Optimizer] = [
    SGD(0.02, weight_decay=0.02),
    SGD(0.02, weight_decay=0.02, momentum=0.9, nesterov=True),
    SGD(0.02, weight_decay=0.02, momentum=0.9, decoupled=True),
    SGD(0.02, weight_decay=0.02, decay="weights"),
    Adam(0.003, weight_decay=0.02),
    Adam(0.003, weight_decay=0.02, decoupled=True),
    Adam(0.003, weight_decay=0.02, decoupled=True, decay="weights"),
    Adam(0.003, beta1=0.5, beta2=0.9, eps=1e-3),
    Adam(0.003, eps_mode="keras", eps=1e-7),
    Adam(0.003, beta1=0.0),
    Adam(0.003, beta2=0.0, eps=0.1),
]

Targets = Callable[[np.random.Generator, int, int], np.ndarray]


def name(thing: Any) -> str:
    """A test's name for a row: its kind and the fields that differ from their defaults."""
    changed = [
        f"{f.name}={getattr(thing, f.name)}" for f in fields(thing) if getattr(thing, f.name) not in (f.default, None)
    ]
    return " ".join([thing.kind, *changed])


def layers() -> list[Layer]:
    """Every kind of layer, each bound to WIDTH inputs."""
    rows = [layer for kind, row in LAYERS.items() for layer in MORE_LAYERS.get(kind) or [row()]]
    return [layer.bind(WIDTH) for layer in rows]


def optimizers() -> list[Optimizer]:
    """Every row of the table, and more constants."""
    return [*OPTIMIZERS.values(), *MORE_OPTIMIZERS]


def _reals(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.normal(size=(n, k))


def _classes(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.integers(0, k, n)


def _one_hot(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return np.eye(k)[rng.integers(0, k, n)]


def _rows(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.dirichlet(np.ones(k), n)


def _labels(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.integers(0, 2, (n, k)).astype(float)


def _soft_labels(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.uniform(size=(n, k))


TARGETS: dict[str, list[Targets]] = {
    "mse": [_reals],
    "mae": [_reals],
    "huber": [_reals],
    "cross_entropy": [_classes, _one_hot, _rows],
    "binary_cross_entropy": [_labels, _soft_labels],
}

MORE_LOSSES: dict[str, list[Loss]] = {
    "huber": [Huber(), Huber(0.3)],
    "cross_entropy": [CrossEntropy(), CrossEntropy(label_smoothing=0.1)],
    "binary_cross_entropy": [BinaryCrossEntropy()],
}


def losses() -> Iterator[tuple[Loss, Targets]]:
    """Every loss, with more constants, beside every kind of targets that it takes."""
    for kind, row in LOSSES.items():
        for loss in MORE_LOSSES.get(kind, [row]):
            for targets in TARGETS[kind]:
                yield loss, targets


def loss_name(row: tuple[Loss, Targets]) -> str:
    """A test's name for a row of `losses`."""
    return f"{name(row[0])} {row[1].__name__.lstrip('_')}"


def parameters(layer: Layer, rng: np.random.Generator, dtype: Any = np.float64) -> dict[str, np.ndarray]:
    """Parameters without special values: none is 0 or 1, whatever the layer starts from."""
    return {key: rng.normal(0.3, 0.5, shape).astype(dtype) for key, shape in layer.parameter_shapes().items()}


def context(layer: Layer, rng: np.random.Generator, *, training: bool, dtype: Any = np.float64) -> Context:
    """A context with running statistics that are not those of a new layer."""
    buffers = {key: rng.uniform(0.5, 2.0, value.shape).astype(dtype) for key, value in layer.initial_buffers().items()}
    return Context(training=training, seed=3, step=7, layer=2, buffers=buffers)


def data(n: int = 23, d: int = 4, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples X (n, d) of classes y (n,), to train on."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.integers(0, classes, n)
