"""What of a program is code to the compiled backend: activations, losses, optimisers.

A function `..._code` gives addresses for the tables, compiling what no network has needed before; one that is called
`..._constants` gives the numbers which that code reads.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlp_kernels.cpu import activations, given, losses, updates
from mlp_kernels.cpu.rules import Rule
from mlp_kernels.cpu.tile import Tile
from mlp_scratch._types import Array
from mlp_scratch.layers import GELU, Layer, ScalarActivation
from mlp_scratch.losses import CrossEntropy, Loss, ScalarLoss
from mlp_scratch.optimizers import SGD, Adam, Optimizer

LEAST_EPS = 1e-30
"""From here on √v + eps is a normal number whatever v is, so the quick quotient of `rules.adam` holds."""


def forward_code(layer: Layer, tile: Tile) -> int:
    """Where the loop of an activation lies."""
    if isinstance(layer, ScalarActivation):
        return given.forward_address(layer.f, tile)
    return activations.forward_address(_function(layer), tile)


def backward_code(layer: Layer, tile: Tile) -> int:
    """Where the loop of its derivative lies."""
    if isinstance(layer, ScalarActivation):
        return given.backward_address(layer.df, tile)
    return activations.backward_address(_function(layer), tile)


def _function(layer: Layer) -> str:
    return "gelu_tanh" if isinstance(layer, GELU) and layer.approximate == "tanh" else layer.kind


def loss_code(loss: Loss, tile: Tile, labels: bool) -> int:
    """Where the loss lies, that of class labels where there are such."""
    if isinstance(loss, ScalarLoss):
        return given.loss_address(loss.f, loss.df, tile)
    return losses.loss_address(loss.kind, tile, labels=labels)


def loss_constants(loss: Loss) -> Array:
    """The two numbers of a loss, zeros where it has none."""
    if isinstance(loss, CrossEntropy):
        return np.array([loss.label_smoothing] * 2, np.float64)
    return np.array([*loss.constants(), 0.0, 0.0][:2], np.float64)


def optimizer_code(optimizer: Optimizer | None, tile: Tile, outputs: Sequence[int]) -> tuple[int, int, int]:
    """Where the forms of an optimiser lie, in the order of `network`; with None the gradient is stored instead.

    `outputs` are those of each dense layer: a form that none of them needs is not compiled, its address 0.
    """
    if optimizer is None:
        return updates.addresses(Rule("gradient"), Rule("gradient"), tile, outputs)
    name = optimizer.kind
    if isinstance(optimizer, SGD) and optimizer.momentum:
        name = "nesterov" if optimizer.nesterov else "momentum"
    decays = optimizer.weight_decay != 0
    weights = Rule(name, decays, fast=isinstance(optimizer, Adam) and optimizer.eps >= LEAST_EPS)
    vectors = replace(weights, decays=decays and optimizer.decay == "all")
    return updates.addresses(weights, vectors, tile, outputs)


def optimizer_constants(optimizer: Optimizer | None) -> Array:
    """The numbers of an optimiser, in the order of `updates`; zeros for None."""
    constants = np.zeros(updates.CONSTANTS)
    if optimizer is None:  # the gradient is that of the loss alone: weight decay is the optimiser's
        return constants
    constants[[updates.DECAY, updates.DECOUPLED]] = optimizer.weight_decay, optimizer.decoupled
    own = optimizer.constants()[: 1 if isinstance(optimizer, SGD) else None]
    constants[updates.FIRST_BETA : updates.FIRST_BETA + len(own)] = own
    if isinstance(optimizer, Adam):
        with np.errstate(divide="ignore"):  # β = 0 remembers nothing
            constants[updates.LOG_FIRST_BETA :] = np.log([optimizer.beta1, optimizer.beta2])
    return constants
