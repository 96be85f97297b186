"""The losses on one panel of samples: logits, targets and gradients are rows of `width` lanes, one row an output.

Each writes the loss and the accuracy of every sample and, times the sample's share of the batch, the gradient:

    dz = share · dℓ/dz,    share = w / Σ w

Lanes beyond the last sample may come out as anything. Accuracies of regressions are NaN. All but the cross-entropy of
a softmax, which is `cross_entropy.py`, are means over the outputs, and thus a pair of scalar functions, as an
activation is.

Plain reference: the classes in `mlp_scratch/losses/`; compared by `tests/testing/kernel_functions/test_losses.py`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from mlp_kernels.cpu.compiling import inlined
from mlp_kernels.cpu.cross_entropy import cross_entropy, cross_entropy_of_labels
from mlp_kernels.cpu.elementary import sigmoid, softplus
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
    """The loss ℓ = mean_k of value(z_k, t_k, constant), of the whole panel whatever the number of its samples.

    The loops are over elements, for a user's functions are of one element each; LLVM makes vectors of them.
    """

    def panel_loss(
        tile: Tile,
        z: Any,
        t: Any,
        dz: Any,
        outputs: int,
        samples: int,
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


def loss_address(name: str, tile: Tile, *, labels: bool = False) -> int:
    """Where the compiled loss lies, that of class labels or that of one row of targets for each output."""
    if name == "cross_entropy":
        return panel_address(cross_entropy_of_labels if labels else cross_entropy, tile)
    return panel_address(mean_of(*FUNCTIONS[name]), tile)


def panel_address(panel_loss: Callable[..., None], tile: Tile, *, kept: bool = True) -> int:
    """The same for any loss of a panel."""
    return address(panel_loss, (FLOATS, FLOATS, FLOATS, INT, INT, FLOATS, FLOATS, FLOATS, REAL), tile, kept)
