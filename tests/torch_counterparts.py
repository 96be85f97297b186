"""PyTorch's modules, loss functions and optimisers that correspond to rows of the tables, and how to build them.

A kind without a counterpart here raises `KeyError`, so a new row of a table fails its parity tests until it is
given one. Everything is float64 and starts from the engine's own numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from mlp_scratch.layers import Layer
from mlp_scratch.losses import Loss
from mlp_scratch.model import Model
from mlp_scratch.optimizers import Optimizer
from mlp_scratch.random import dropout_words


class InjectedDropout(torch.nn.Module):
    """Dropout by the engine's mask of (seed, step, layer), computed here from the words by the published rule."""

    def __init__(self, p: float, index: int) -> None:
        super().__init__()
        self.p, self.index, self.seed, self.step = p, index, 0, 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        words = dropout_words(self.seed, self.step, self.index, tuple(x.shape))
        keep = torch.from_numpy(words.astype(np.float64) / 2**32 >= self.p)
        return torch.where(keep, x / (1 - self.p), 0.0)


class FrozenBatchNorm(torch.nn.BatchNorm1d):
    """What `trainable=False` means here: parameters without a gradient, and the running statistics at all times."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm":
        return super().train(False)


MODULES: dict[str, Callable[[Any, int], torch.nn.Module]] = {
    "dense": lambda layer, _: torch.nn.Linear(layer.n_in, layer.n_out, bias=layer.bias),
    "identity": lambda layer, _: torch.nn.Identity(),
    "relu": lambda layer, _: torch.nn.ReLU(),
    "leaky_relu": lambda layer, _: torch.nn.LeakyReLU(layer.slope),
    "prelu": lambda layer, _: torch.nn.PReLU(layer.n_features if layer.per_feature else 1, layer.slope),
    "elu": lambda layer, _: torch.nn.ELU(layer.alpha),
    "selu": lambda layer, _: torch.nn.SELU(),
    "gelu": lambda layer, _: torch.nn.GELU(layer.approximate),
    "tanh": lambda layer, _: torch.nn.Tanh(),
    "sigmoid": lambda layer, _: torch.nn.Sigmoid(),
    "softplus": lambda layer, _: torch.nn.Softplus(layer.beta, layer.threshold),
    "dropout": lambda layer, index: InjectedDropout(layer.p, index),
    "batch_norm": lambda layer, _: (torch.nn.BatchNorm1d if layer.trainable else FrozenBatchNorm)(
        layer.n_features, layer.eps, layer.momentum
    ),
}
"""One module a layer kind, from the bound layer and its position."""


def module(layers: Sequence[Layer]) -> torch.nn.Sequential:
    """The `nn.Sequential` of the same layers."""
    parts = [MODULES[layer.kind](layer, i) for i, layer in enumerate(layers)]
    for layer, part in zip(layers, parts, strict=True):
        part.requires_grad_(layer.trainable)
    return torch.nn.Sequential(*parts).double()


def inject(model: Model, net: torch.nn.Sequential) -> None:
    """Copy parameters and running statistics into `net`, by name; `strict` finds a name that only one side has."""
    ours = {**model.parameters, **model.buffers}
    state = {name: torch.from_numpy(np.array(view)) for name, view in ours.items()}
    counters = {name: value for name, value in net.state_dict().items() if name.endswith("num_batches_tracked")}
    net.load_state_dict(state | counters, strict=True)


def set_step(net: torch.nn.Sequential, seed: int, step: int) -> None:
    """Tell the dropout layers whose masks to draw."""
    for part in net:
        if isinstance(part, InjectedDropout):
            part.seed, part.step = seed, step


SAMPLE_LOSSES: dict[str, Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mse": lambda loss, z, t: functional.mse_loss(z, t, reduction="none"),
    "mae": lambda loss, z, t: functional.l1_loss(z, t, reduction="none"),
    "huber": lambda loss, z, t: functional.huber_loss(z, t, reduction="none", delta=loss.delta),
    "cross_entropy": lambda loss, z, t: functional.cross_entropy(
        z, t, reduction="none", label_smoothing=loss.label_smoothing
    ),
    "binary_cross_entropy": lambda loss, z, t: functional.binary_cross_entropy_with_logits(z, t, reduction="none"),
}
"""One function a loss kind: unreduced, (N,) or (N, K)."""

MEAN_LOSSES: dict[str, Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mse": lambda loss, z, t: functional.mse_loss(z, t),
    "mae": lambda loss, z, t: functional.l1_loss(z, t),
    "huber": lambda loss, z, t: functional.huber_loss(z, t, delta=loss.delta),
    "cross_entropy": lambda loss, z, t: functional.cross_entropy(z, t, label_smoothing=loss.label_smoothing),
    "binary_cross_entropy": lambda loss, z, t: functional.binary_cross_entropy_with_logits(z, t),
}
"""One function a loss kind, reduced by PyTorch's own mean."""


def batch_loss(loss: Loss, z: torch.Tensor, t: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """PyTorch's mean, or with weights Σ w ℓ / Σ w, ℓ the mean over the outputs of a sample."""
    if weights is None:
        return MEAN_LOSSES[loss.kind](loss, z, t)
    each = SAMPLE_LOSSES[loss.kind](loss, z, t)
    each = each.mean(dim=1) if each.ndim == 2 else each
    return (weights * each).sum() / weights.sum()


def _sgd(row: Any, parameters: list[dict[str, Any]]) -> torch.optim.Optimizer:
    assert not row.decoupled, "PyTorch's SGD has no decoupled decay: tested against its formula"
    return torch.optim.SGD(parameters, lr=row.lr, momentum=row.momentum, nesterov=row.nesterov)


def _adam(row: Any, parameters: list[dict[str, Any]]) -> torch.optim.Optimizer:
    assert row.eps_mode == "torch", "the Keras form is tested against its formula"
    cls = torch.optim.AdamW if row.decoupled else torch.optim.Adam
    return cls(parameters, lr=row.lr, betas=(row.beta1, row.beta2), eps=row.eps)


OPTIMIZERS: dict[str, Callable[[Any, list[dict[str, Any]]], torch.optim.Optimizer]] = {"sgd": _sgd, "adam": _adam}
"""One constructor an optimiser kind, from the record and groups of parameters with their weight decay."""

SLOTS = {"velocity": "momentum_buffer", "m": "exp_avg", "v": "exp_avg_sq"}
"""PyTorch's name of each vector that an optimiser remembers."""


def has_counterpart(row: Optimizer) -> bool:
    """Whether PyTorch has this optimiser at all; those without are held against formulas in tests/optimizers."""
    return not (row.kind == "sgd" and row.decoupled) and getattr(row, "eps_mode", "torch") == "torch"


def optimizer(row: Optimizer, net: torch.nn.Sequential) -> torch.optim.Optimizer:
    """The `torch.optim` object of the same rule; only dense weights decay where the record says so."""
    weights = {id(part.weight) for part in net if isinstance(part, torch.nn.Linear)}
    groups: list[dict[str, Any]] = [
        {
            "params": [parameter],
            "weight_decay": row.weight_decay if row.decay == "all" or id(parameter) in weights else 0.0,
        }
        for parameter in net.parameters()
    ]
    return OPTIMIZERS[row.kind](row, groups)
