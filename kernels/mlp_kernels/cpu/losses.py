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
from mlp_kernels.cpu.memory import load, number, shift, store
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

SCRATCH_ROWS = 4


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
        scratch: Any,
    ) -> None:
        width = tile.columns
        a, k = number(z, constant), number(z, float(outputs))
        for j in range(width):
            store(values, j, number(z, 0.0))
            store(accuracies, j, number(z, 0.0))
        for c in range(outputs):
            z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
            for j in range(width):
                store(values, j, load(values, j) + value(load(z_row, j), load(t_row, j), a))
            for j in range(width):
                store(accuracies, j, load(accuracies, j) + accuracy(load(z_row, j), load(t_row, j), a))
            for j in range(width):
                store(d_row, j, load(shares, j) * (derivative(load(z_row, j), load(t_row, j), a) / k))
        for j in range(width):
            store(values, j, load(values, j) / k)
            store(accuracies, j, load(accuracies, j) / k)

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
    scratch: Any,
) -> None:
    """ℓ = Σ_c p_c (log Σ e^(z - max) - (z_c - max)), dℓ/dz = softmax(z) Σ p - p; scratch has four rows."""
    zero, width = number(z, 0.0), tile.columns
    largest, total = scratch, shift(scratch, width)
    weight, logarithm = shift(scratch, 2 * width), shift(scratch, 3 * width)
    for j in range(width):
        store(largest, j, load(z, j))
        store(total, j, zero)
        store(weight, j, zero)
        store(values, j, zero)
    for c in range(1, outputs):
        row = shift(z, c * width)
        for j in range(width):
            v, top = load(row, j), load(largest, j)
            store(largest, j, v if v > top else top)
    for c in range(outputs):
        z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
        for j in range(width):
            e = exp(load(z_row, j) - load(largest, j))
            store(d_row, j, e)
            store(total, j, load(total, j) + e)
            store(weight, j, load(weight, j) + load(t_row, j))
    for j in range(width):
        store(logarithm, j, log(load(total, j)))
    for c in range(outputs):
        z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
        for j in range(width):
            short = load(logarithm, j) - (load(z_row, j) - load(largest, j))
            store(values, j, load(values, j) + load(t_row, j) * short)
        for j in range(width):
            softmax = load(d_row, j) / load(total, j)
            store(d_row, j, load(shares, j) * (softmax * load(weight, j) - load(t_row, j)))
    predicted, wanted = largest, total  # both are used up
    _first_largest(z, outputs, width, weight, predicted)
    _first_largest(t, outputs, width, weight, wanted)
    for j in range(width):
        store(accuracies, j, number(z, 1.0) if load(predicted, j) == load(wanted, j) else zero)


@inlined
def _first_largest(rows: Any, outputs: int, width: int, best: Any, place: Any) -> None:
    """The output with the first largest value in each lane, as a float; `best` is scratch."""
    for j in range(width):
        store(best, j, load(rows, j))
        store(place, j, number(rows, 0.0))
    for c in range(1, outputs):
        row, number_c = shift(rows, c * width), number(rows, float(c))
        for j in range(width):
            v, top = load(row, j), load(best, j)
            store(best, j, v if v > top else top)
            store(place, j, number_c if v > top else load(place, j))


def loss_address(name: str, tile: Tile) -> int:
    """Where the compiled loss lies."""
    return panel_address(cross_entropy if name == "cross_entropy" else mean_of(*FUNCTIONS[name]), tile)


def panel_address(panel_loss: Callable[..., None], tile: Tile, *, kept: bool = True) -> int:
    """The same for any loss of a panel."""
    signature = (FLOATS, FLOATS, FLOATS, INT, FLOATS, FLOATS, FLOATS, REAL, FLOATS)
    return address(panel_loss, signature, tile, kept)
