"""Batch normalisation of one feature, whose N samples lie in rows of `width` lanes, one row a panel.

    y = γ x̂ + β,   x̂ = (x - μ) / √(σ² + eps)
    dx = γ / √(σ² + eps) · (dy - mean(dy) - x̂ · mean(dy · x̂))

S. Ioffe, C. Szegedy, ICML 2015. Sums run lane by lane, then over the lanes, so that they vectorise and come out the
same however the features are divided among threads. `panel_step` is how many elements lie between a feature's row in
one panel and its row in the next.

Plain reference: `mlp_scratch/layers/batch_norm.py`; compared by `tests/testing/kernel_functions/test_batch_norm.py`.
"""

from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, shift, store


@kernel
def clear_lanes(lanes: Any, width: int) -> None:
    """Zeros, for a loop over samples that LLVM makes vectors of to add up in, lane by lane."""
    for j in range(width):
        store(lanes, j, number(lanes, 0.0))


@kernel
def total_of_lanes(lanes: Any, width: int) -> Any:
    """The sum of what it has added up, one lane after the other."""
    total = number(lanes, 0.0)
    for j in range(width):
        total += load(lanes, j)
    return total


@kernel
def statistics(x: Any, panel_step: int, n: int, width: int, lanes: Any) -> Any:
    """Mean and biased variance of a feature; `lanes` has room for a row."""
    count = number(x, float(n))
    clear_lanes(lanes, width)
    for b in range((n + width - 1) // width):
        row = shift(x, b * panel_step)
        for j in range(min(width, n - b * width)):
            store(lanes, j, load(lanes, j) + load(row, j))
    mean = total_of_lanes(lanes, width) / count
    clear_lanes(lanes, width)
    for b in range((n + width - 1) // width):
        row = shift(x, b * panel_step)
        for j in range(min(width, n - b * width)):
            centred = load(row, j) - mean
            store(lanes, j, load(lanes, j) + centred * centred)
    return mean, total_of_lanes(lanes, width) / count


@kernel
def move(running: Any, position: int, value: Any, momentum: float) -> None:
    """running = (1 - momentum) · running + momentum · value."""
    old, new = number(running, 1.0 - momentum), number(running, momentum)
    store(running, position, old * load(running, position) + new * value)


@kernel
def forward(
    x: Any, y: Any, panel_step: int, n: int, width: int, mean: Any, inverse: Any, weight: Any, bias: Any
) -> None:
    """y = weight · (x - mean) · inverse + bias, all lanes of each panel."""
    for b in range((n + width - 1) // width):
        row, out = shift(x, b * panel_step), shift(y, b * panel_step)
        for j in range(width):
            store(out, j, weight * ((load(row, j) - mean) * inverse) + bias)


@kernel
def backward(
    x: Any,
    dy: Any,
    panel_step: int,
    n: int,
    width: int,
    mean: Any,
    inverse: Any,
    weight: Any,
    training: bool,
    lanes: Any,
) -> Any:
    """dy becomes dx, 0 beyond the last sample; returns the gradients of weight and bias.

    `lanes` has room for two rows.
    """
    zero = number(x, 0.0)
    second = shift(lanes, width)
    clear_lanes(lanes, 2 * width)
    for b in range((n + width - 1) // width):
        row, out = shift(x, b * panel_step), shift(dy, b * panel_step)
        for j in range(min(width, n - b * width)):
            x_hat = (load(row, j) - mean) * inverse
            store(lanes, j, load(lanes, j) + load(out, j) * x_hat)
            store(second, j, load(second, j) + load(out, j))
    d_weight, d_bias = total_of_lanes(lanes, width), total_of_lanes(second, width)
    count = number(x, float(n))
    share, slope = d_bias / count, d_weight / count
    if not training:  # running statistics do not depend on x
        share, slope = zero, zero
    scale = weight * inverse
    for b in range((n + width - 1) // width):
        row, out = shift(x, b * panel_step), shift(dy, b * panel_step)
        valid = min(width, n - b * width)
        for j in range(valid):
            x_hat = (load(row, j) - mean) * inverse
            store(out, j, scale * (load(out, j) - share - x_hat * slope))
        for j in range(valid, width):
            store(out, j, zero)
    return d_weight, d_bias


@kernel
def inverse_deviation(variance: Any, eps: float) -> Any:
    """1 / √(σ² + eps)."""
    return number(variance, 1.0) / np.sqrt(variance + number(variance, eps))
