"""What every compiled backend refuses, in words: a program without kernels, and a batch without statistics."""

from collections.abc import Hashable

import numpy as np

from mlp_kernels.cpu import given
from mlp_kernels.cpu.captured import captured
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
    return next((reason for part in _parts(program) if (reason := _refused(part, functions))), "")


def _refused(part: Layer | Loss | Optimizer, functions: bool) -> str:
    if type(part) in KNOWN:
        return ""
    if not functions or type(part) not in GIVEN:
        return type(part).__name__
    faults = {name: given.fault(getattr(part, name), GIVEN[type(part)]) for name in ("f", "df")}
    return next((f"{part.kind}, whose {name} Numba can't compile: {why}" for name, why in faults.items() if why), "")


def constants(program: Program) -> Hashable:
    """What a user's functions in `program` read besides numbers that they are given; empty where there are none.

    >>> from mlp_scratch.model import Model
    >>> from mlp_scratch.program import lower
    >>> constants(lower(Model([Dense(2, 1)]), MSE(), SGD()))
    ()
    """
    functions = program.keep("functions", lambda: [f for part in _parts(program) for f in _functions(part)])
    return tuple(map(captured, functions))


def _functions(part: Layer | Loss | Optimizer) -> tuple[given.Scalar, ...]:
    return (part.f, part.df) if isinstance(part, ScalarActivation | ScalarLoss) else ()


def _parts(program: Program) -> list[Layer | Loss | Optimizer]:
    return [*(op.layer for op in program.operations), program.loss, program.optimizer]


def check_statistics(program: Program, n_samples: int) -> None:
    """Raise what batch normalisation raises of a training batch of one sample, which a kernel can't say in words."""
    for op in program.operations:
        if n_samples == 1 and isinstance(op.layer, BatchNorm) and op.layer.trainable:
            op.layer.forward({}, np.zeros((1, op.n_out), program.dtype), Context(training=True))
