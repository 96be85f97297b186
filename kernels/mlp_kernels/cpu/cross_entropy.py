"""The cross-entropy of a softmax, of one panel of samples, for targets of two kinds.

    ℓ = Σ_c p_c (log Σ e^z - z_c),   dℓ/dz = softmax(z) Σ p - p

Logits, probabilities and gradients are rows of a panel, one row an output; see `losses.py`. Exponents are taken from
the largest logit of each sample, so that none overflows.
"""

from typing import Any

from mlp_kernels.cpu.elementary import exp, log
from mlp_kernels.cpu.memory import load, local_row, number, shift, store
from mlp_kernels.cpu.tile import Tile


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
    """For rows of probabilities; right is a prediction whose first largest logit is the first largest probability."""
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


def cross_entropy_of_labels(
    tile: Tile,
    z: Any,
    labels: Any,
    dz: Any,
    outputs: int,
    shares: Any,
    values: Any,
    accuracies: Any,
    smoothing: float,
) -> None:
    """For one row of class numbers: p is 1 - ε for the class and ε / C more for every one, ε the label smoothing.

    No row of probabilities is written or read, most of which would be zeros.
    """
    width, zero, one = tile.columns, number(z, 0.0), number(z, 1.0)
    certain, even = number(z, 1.0 - smoothing), number(z, smoothing / outputs)
    largest, predicted, total, below = local_row(tile), local_row(tile), local_row(tile), local_row(tile)
    for j in range(width):
        store(largest, j, load(z, j))
        store(predicted, j, zero)
        store(total, j, zero)
        store(below, j, zero)
    for c in range(1, outputs):
        row, label = shift(z, c * width), number(z, float(c))
        for j in range(width):
            v, top = load(row, j), load(largest, j)
            store(largest, j, v if v > top else top)
            store(predicted, j, label if v > top else load(predicted, j))
    for c in range(outputs):
        z_row, d_row = shift(z, c * width), shift(dz, c * width)
        for j in range(width):
            shifted = load(z_row, j) - load(largest, j)
            e = exp(shifted)
            store(d_row, j, e)
            store(total, j, load(total, j) + e)
            store(below, j, load(below, j) + shifted)
    scale, low = local_row(tile), local_row(tile)
    for j in range(width):
        logarithm = log(load(total, j))
        # What of the loss all classes share: Σ_c ε/C (log Σ e^z - z_c).
        store(values, j, even * (number(z, float(outputs)) * logarithm - load(below, j)) + certain * logarithm)
        store(accuracies, j, one if load(predicted, j) == load(labels, j) else zero)
        store(scale, j, load(shares, j) / load(total, j))
        store(low, j, load(shares, j) * even)
    for c in range(outputs):
        row = shift(dz, c * width)
        for j in range(width):
            store(row, j, load(row, j) * load(scale, j) - load(low, j))
    for j in range(width):
        place = int(load(labels, j)) * width + j
        store(values, j, load(values, j) - certain * (load(z, place) - load(largest, j)))
        store(dz, place, load(dz, place) - certain * load(shares, j))
