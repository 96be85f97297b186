"""The losses on one panel of samples: logits, targets and gradients are rows of `width` lanes, one row an output.

Each writes the loss and the accuracy of every sample and, times the sample's share of the batch, the gradient:

    dz = share · dℓ/dz,    share = w / Σ w

so lanes beyond the last sample, whose share is 0, have no gradient. Accuracies of regressions are NaN. All but the
cross-entropy of a softmax are means over the outputs, and thus a pair of scalar functions, as an activation is.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from mlp_kernels.cpu.compiling import inlined
from mlp_kernels.cpu.elementary import exp, log, sigmoid, softplus
from mlp_kernels.cpu.memory import load, local_row, number, shift, store
from mlp_kernels.cpu.native import FLOATS, INT, REAL, address
from mlp_kernels.cpu.tile import Tile

Scalar: TypeAlias = Callable[[Any, Any, Any], Any]


@inlined
def squared(z: Any, t: Any, a: Any) -> Any:
    """(z - t)²."""
    return (z - t) * (z - t)


@inlined
def squared_slope(z: Any, t: Any, a: Any) -> Any:
    """2 (z - t)."""
    return number(z, 2.0) * (z - t)


@inlined
def absolute(z: Any, t: Any, a: Any) -> Any:
    """|z - t|."""
    return abs(z - t)


@inlined
def absolute_slope(z: Any, t: Any, a: Any) -> Any:
    """The sign of z - t."""
    r, zero = z - t, number(z, 0.0)
    one = number(z, 1.0)
    return one if r > zero else (-one if r < zero else r)  # r itself is 0 or NaN then


@inlined
def huber(z: Any, t: Any, a: Any) -> Any:
    """r²/2 where r = |z - t| <= a, else a (r - a/2)."""
    r, half = abs(z - t), number(z, 0.5)
    return a * (r - half * a) if r > a else half * r * r


@inlined
def huber_slope(z: Any, t: Any, a: Any) -> Any:
    """z - t, at most a either way."""
    r = z - t
    return a if r > a else (-a if r < -a else r)


@inlined
def binary(z: Any, t: Any, a: Any) -> Any:
    """-t log σ(z) - (1 - t) log(1 - σ(z))."""
    return t * softplus(-z) + (number(z, 1.0) - t) * softplus(z)


@inlined
def binary_slope(z: Any, t: Any, a: Any) -> Any:
    """σ(z) - t."""
    return sigmoid(z) - t


@inlined
def no_accuracy(z: Any, t: Any, a: Any) -> Any:
    """A regression has none."""
    return number(z, np.nan)


@inlined
def same_label(z: Any, t: Any, a: Any) -> Any:
    """Whether the more likely label is the target."""
    return number(z, 1.0) if (z > number(z, 0.0)) == (t > number(z, 0.5)) else number(z, 0.0)


FUNCTIONS: dict[str, tuple[Scalar, Scalar, Scalar]] = {
    "mse": (squared, squared_slope, no_accuracy),
    "mae": (absolute, absolute_slope, no_accuracy),
    "huber": (huber, huber_slope, no_accuracy),
    "binary_cross_entropy": (binary, binary_slope, same_label),
}
"""The losses that are means over the outputs: value, derivative, and how right a prediction is."""


@cache
def mean_of(value: Scalar, derivative: Scalar, accuracy: Scalar) -> Callable[..., None]:
    """The loss ℓ = mean_k of value(z_k, t_k, constant), one panel of it."""

    def panel_loss(
        tile: Tile,
        z: Any,
        t: Any,
        dz: Any,
        outputs: int,
        shares: Any,
        values: Any,
        accuracies: Any,
        constant: float,
    ) -> None:
        width, losses, right = tile.columns, local_row(tile), local_row(tile)
        a, k = number(z, constant), number(z, float(outputs))
        for j in range(width):
            store(losses, j, number(z, 0.0))
            store(right, j, number(z, 0.0))
        for c in range(outputs):
            z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
            for j in range(width):
                store(losses, j, load(losses, j) + value(load(z_row, j), load(t_row, j), a))
            for j in range(width):
                store(right, j, load(right, j) + accuracy(load(z_row, j), load(t_row, j), a))
            for j in range(width):
                store(d_row, j, load(shares, j) * (derivative(load(z_row, j), load(t_row, j), a) / k))
        for j in range(width):
            store(values, j, load(losses, j) / k)
            store(accuracies, j, load(right, j) / k)

    return panel_loss


def cross_entropy(
    tile: Tile,
    z: Any,
    t: Any,
    dz: Any,
    outputs: int,
    shares: Any,
    values: Any,
    accuracies: Any,
    constant: float,
) -> None:
    """ℓ = Σ_c p_c (log Σ e^(z - max) - (z_c - max)), dℓ/dz = softmax(z) Σ p - p.

    A prediction is right where the first largest logit is that of the first largest target.
    """
    width, zero, one = tile.columns, number(z, 0.0), number(z, 1.0)
    largest, predicted, most, wanted = local_row(tile), local_row(tile), local_row(tile), local_row(tile)
    total, weight, loss = local_row(tile), local_row(tile), local_row(tile)
    for j in range(width):
        store(largest, j, load(z, j))
        store(most, j, load(t, j))
        store(predicted, j, zero)
        store(wanted, j, zero)
        store(total, j, zero)
        store(weight, j, zero)
        store(loss, j, zero)
    for c in range(1, outputs):
        z_row, t_row, label = shift(z, c * width), shift(t, c * width), number(z, float(c))
        for j in range(width):
            v, top = load(z_row, j), load(largest, j)
            store(largest, j, v if v > top else top)
            store(predicted, j, label if v > top else load(predicted, j))
        for j in range(width):
            p, top = load(t_row, j), load(most, j)
            store(most, j, p if p > top else top)
            store(wanted, j, label if p > top else load(wanted, j))
    for c in range(outputs):
        z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
        for j in range(width):
            e = exp(load(z_row, j) - load(largest, j))
            store(d_row, j, e)
            store(total, j, load(total, j) + e)
            store(weight, j, load(weight, j) + load(t_row, j))
    logarithm, scale = most, weight  # the maximum of the targets is used up, their sum goes into the scale
    for j in range(width):
        store(logarithm, j, log(load(total, j)))
        store(scale, j, load(shares, j) * load(weight, j) / load(total, j))
    for c in range(outputs):
        z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
        for j in range(width):
            short = load(logarithm, j) - (load(z_row, j) - load(largest, j))
            store(loss, j, load(loss, j) + load(t_row, j) * short)
            store(d_row, j, load(d_row, j) * load(scale, j) - load(shares, j) * load(t_row, j))
    for j in range(width):
        store(values, j, load(loss, j))
        store(accuracies, j, one if load(predicted, j) == load(wanted, j) else zero)


def loss_address(name: str, tile: Tile) -> int:
    """Where the compiled loss lies."""
    return panel_address(cross_entropy if name == "cross_entropy" else mean_of(*FUNCTIONS[name]), tile)


def panel_address(panel_loss: Callable[..., None], tile: Tile, *, kept: bool = True) -> int:
    """The same for any loss of a panel."""
    return address(panel_loss, (FLOATS, FLOATS, FLOATS, INT, FLOATS, FLOATS, FLOATS, REAL), tile, kept)
