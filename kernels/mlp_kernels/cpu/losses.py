"""The losses on one panel of samples: logits, targets and gradients are rows of `width` lanes, one row an output.

Each writes the loss and the accuracy of every sample and, times the sample's share of the batch, the gradient:

    dz = share · dℓ/dz,    share = w / Σ w

so lanes beyond the last sample, whose share is 0, have no gradient. Accuracies of regressions are NaN.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.elementary import exp, log, sigmoid, softplus
from mlp_kernels.cpu.memory import load, number, shift, store

MSE, MAE, HUBER, CROSS_ENTROPY, BINARY_CROSS_ENTROPY = range(5)
"""The losses by number."""


@kernel
def loss(
    kind: int,
    z: Any,
    t: Any,
    dz: Any,
    outputs: int,
    width: int,
    shares: Any,
    values: Any,
    accuracies: Any,
    constant: float,
    scratch: Any,
) -> None:
    """One panel; `constant` is Huber's δ, `scratch` has room for four rows."""
    if kind == CROSS_ENTROPY:
        _cross_entropy(z, t, dz, outputs, width, shares, values, accuracies, scratch)
        return
    zero, one = number(z, 0.0), number(z, 1.0)
    k, delta, half = number(z, float(outputs)), number(z, constant), number(z, 0.5)
    right = kind == BINARY_CROSS_ENTROPY
    for j in range(width):
        store(values, j, zero)
        store(accuracies, j, zero if right else number(z, np.nan))
    for c in range(outputs):
        z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
        if kind == MSE:
            for j in range(width):
                r = load(z_row, j) - load(t_row, j)
                store(values, j, load(values, j) + r * r)
                store(d_row, j, load(shares, j) * (number(z, 2.0) * r / k))
        elif kind == MAE:
            for j in range(width):
                r = load(z_row, j) - load(t_row, j)
                store(values, j, load(values, j) + abs(r))
                sign = one if r > zero else (-one if r < zero else r)  # r itself is 0 or NaN then
                store(d_row, j, load(shares, j) * (sign / k))
        elif kind == HUBER:
            for j in range(width):
                r = load(z_row, j) - load(t_row, j)
                size = abs(r)
                inside = half * size * size
                store(values, j, load(values, j) + (delta * (size - half * delta) if size > delta else inside))
                clipped = delta if r > delta else (-delta if r < -delta else r)
                store(d_row, j, load(shares, j) * (clipped / k))
        else:
            for j in range(width):
                x, p = load(z_row, j), load(t_row, j)
                store(values, j, load(values, j) + (p * softplus(-x) + (one - p) * softplus(x)))
                store(d_row, j, load(shares, j) * ((sigmoid(x) - p) / k))
            for j in range(width):
                same = (load(z_row, j) > zero) == (load(t_row, j) > half)
                store(accuracies, j, load(accuracies, j) + (one if same else zero))
    for j in range(width):
        store(values, j, load(values, j) / k)
        store(accuracies, j, load(accuracies, j) / k)


@kernel
def _cross_entropy(
    z: Any, t: Any, dz: Any, classes: int, width: int, shares: Any, values: Any, accuracies: Any, scratch: Any
) -> None:
    """ℓ = Σ_c p_c (log Σ e^(z - max) - (z_c - max)), dℓ/dz = softmax(z) Σ p - p."""
    zero, one = number(z, 0.0), number(z, 1.0)
    largest, total = scratch, shift(scratch, width)
    weight, logarithm = shift(scratch, 2 * width), shift(scratch, 3 * width)
    for j in range(width):
        store(largest, j, load(z, j))
        store(total, j, zero)
        store(weight, j, zero)
        store(values, j, zero)
    for c in range(1, classes):
        row = shift(z, c * width)
        for j in range(width):
            v, top = load(row, j), load(largest, j)
            store(largest, j, v if v > top else top)
    for c in range(classes):
        z_row, t_row, d_row = shift(z, c * width), shift(t, c * width), shift(dz, c * width)
        for j in range(width):
            e = exp(load(z_row, j) - load(largest, j))
            store(d_row, j, e)
            store(total, j, load(total, j) + e)
            store(weight, j, load(weight, j) + load(t_row, j))
    for j in range(width):
        store(logarithm, j, log(load(total, j)))
    for c in range(classes):
        z_row, t_row = shift(z, c * width), shift(t, c * width)
        for j in range(width):
            short = load(logarithm, j) - (load(z_row, j) - load(largest, j))
            store(values, j, load(values, j) + load(t_row, j) * short)
    for c in range(classes):
        t_row, d_row = shift(t, c * width), shift(dz, c * width)
        for j in range(width):
            softmax = load(d_row, j) / load(total, j)
            store(d_row, j, load(shares, j) * (softmax * load(weight, j) - load(t_row, j)))
    _compare_largest(z, t, classes, width, accuracies)


@kernel
def _compare_largest(z: Any, t: Any, classes: int, width: int, accuracies: Any) -> None:
    """1 where the first largest logit is at the place of the first largest target, else 0."""
    for j in range(width):
        best_z, best_t = load(z, j), load(t, j)
        place_z, place_t = 0, 0
        for c in range(1, classes):
            v, p = load(z, c * width + j), load(t, c * width + j)
            if v > best_z:
                best_z, place_z = v, c
            if p > best_t:
                best_t, place_t = p, c
        store(accuracies, j, number(z, 1.0 if place_z == place_t else 0.0))
