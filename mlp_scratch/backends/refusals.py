"""What every compiled backend refuses, in words: a program without kernels, and a batch without statistics."""

import numpy as np

from mlp_kernels.cpu import given
from mlp_scratch.layers import (
    ELU,
    GELU,
    SELU,
    BatchNorm,
    Context,
    Dense,
    Dropout,
    Identity,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
    ScalarActivation,
    Sigmoid,
    Softplus,
    Tanh,
)
from mlp_scratch.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber, Loss, ScalarLoss
from mlp_scratch.optimizers import SGD, Adam, Optimizer
from mlp_scratch.program import Program

KNOWN: frozenset[type] = frozenset(
    {Dense, Identity, ReLU, LeakyReLU, PReLU, ELU, SELU, GELU, Tanh, Sigmoid, Softplus, Dropout, BatchNorm}
    | {MSE, MAE, Huber, CrossEntropy, BinaryCrossEntropy}
    | {SGD, Adam}
)
"""What there are kernels for: these very classes, since a subclass may compute something else."""

GIVEN: dict[type, int] = {ScalarActivation: 1, ScalarLoss: 2}
"""What is made of a user's functions, each with how many numbers those take; whether they can be compiled is tried."""


def refusal(program: Program, *, functions: bool = True) -> str:
    """What in `program` there is no kernel for, and why; empty if it can be run.

    `functions` says whether a user's functions can be compiled at all.

    >>> from mlp_scratch.model import Model
    >>> from mlp_scratch.program import lower
    >>> refusal(lower(Model([Dense(2, 1)]), MSE(), SGD()))
    ''
    """
    parts: list[Layer | Loss | Optimizer] = [op.layer for op in program.operations]
    parts += [program.loss, program.optimizer]
    return next((reason for part in parts if (reason := _refused(part, functions))), "")


def _refused(part: Layer | Loss | Optimizer, functions: bool) -> str:
    if type(part) in KNOWN:
        return ""
    if not functions or type(part) not in GIVEN:
        return type(part).__name__
    faults = {name: given.fault(getattr(part, name), GIVEN[type(part)]) for name in ("f", "df")}
    return next((f"{part.kind}, whose {name} Numba can't compile: {why}" for name, why in faults.items() if why), "")


def check_statistics(program: Program, n_samples: int) -> None:
    """Raise what batch normalisation raises of a training batch of one sample, which a kernel can't say in words."""
    for op in program.operations:
        if n_samples == 1 and isinstance(op.layer, BatchNorm) and op.layer.trainable:
            op.layer.forward({}, np.zeros((1, op.n_out), program.dtype), Context(training=True))
