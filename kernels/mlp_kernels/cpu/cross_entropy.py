"""The cross-entropy of a softmax, of the samples of one panel, for targets of two kinds.

    ℓ = Σ_c p_c (log Σ e^z - z_c),   dℓ/dz = softmax(z) Σ p - p

Logits, probabilities and gradients are rows of a panel, one row an output; see `losses.py`. Exponents are taken from
the largest logit of each sample, so that none overflows. A vector of samples at a time goes by all outputs: what is
summed over them stays close by, and a short batch costs no more vectors than it fills.

The second way by the outputs is from the last to the first, so that of equal logits the first one is what remains.

Plain reference: `mlp_scratch/losses/cross_entropy.py`; compared by `tests/testing/kernel_functions/test_losses.py`.
"""

from typing import Any

from mlp_kernels.cpu.compiling import inlined
from mlp_kernels.cpu.elementary import exp_down, log
from mlp_kernels.cpu.lane_values import load_lanes, store_lanes, where
from mlp_kernels.cpu.memory import load, local_row, number, store
from mlp_kernels.cpu.tile import Tile


def cross_entropy(
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
    """For rows of probabilities; right is a prediction whose first largest logit is the first largest probability."""
    width = tile.columns
    for j in range(0, samples, tile.lanes):
        largest, most = _maximum(tile, z, j, outputs), _maximum(tile, t, j, outputs)
        zero, one = number(largest, 0.0), number(largest, 1.0)
        predicted = wanted = total = weight = loss = zero
        for c in range(outputs - 1, -1, -1):
            place, label = c * width + j, number(largest, float(c))
            below, p = load_lanes(tile, z, place) - largest, load_lanes(tile, t, place)
            e = exp_down(below)
            store_lanes(dz, place, e)
            total, weight, loss = total + e, weight + p, loss - p * below
            predicted, wanted = where(below == zero, label, predicted), where(p == most, label, wanted)
        store_lanes(values, j, loss + weight * _log(total))
        store_lanes(accuracies, j, where(predicted == wanted, one, zero))
        share = load_lanes(tile, shares, j)
        scale = share * weight / total
        for c in range(outputs):
            place = c * width + j
            store_lanes(dz, place, load_lanes(tile, dz, place) * scale - share * load_lanes(tile, t, place))


def cross_entropy_of_labels(
    tile: Tile,
    z: Any,
    labels: Any,
    dz: Any,
    outputs: int,
    samples: int,
    shares: Any,
    values: Any,
    accuracies: Any,
    smoothing: float,
) -> None:
    """For one row of class numbers: p is 1 - ε for the class and ε / C more for every one, ε the label smoothing.

    No row of probabilities is written or read, most of which would be zeros.
    """
    width, top, certain = tile.columns, local_row(tile), number(z, 1.0 - smoothing)
    for j in range(0, samples, tile.lanes):
        largest = _maximum(tile, z, j, outputs)
        zero, one = number(largest, 0.0), number(largest, 1.0)
        predicted = total = loss = zero
        for c in range(outputs - 1, -1, -1):
            place, label = c * width + j, number(largest, float(c))
            below = load_lanes(tile, z, place) - largest
            e = exp_down(below)
            store_lanes(dz, place, e)
            total, predicted = total + e, where(below == zero, label, predicted)
        if smoothing > 0.0:
            part = number(largest, smoothing / outputs)
            for c in range(outputs):
                loss = loss + part * (largest - load_lanes(tile, z, c * width + j))
        store_lanes(values, j, loss + _log(total))
        store_lanes(accuracies, j, where(predicted == load_lanes(tile, labels, j), one, zero))
        share = load_lanes(tile, shares, j)
        scale, low = share / total, share * number(largest, smoothing / outputs)
        for c in range(outputs):
            place = c * width + j
            store_lanes(dz, place, load_lanes(tile, dz, place) * scale - low)
        store_lanes(top, 0, largest)
        for i in range(j, min(j + tile.lanes, samples)):
            place = int(load(labels, i)) * width + i
            store(values, i, load(values, i) - certain * (load(z, place) - load(top, i - j)))
            store(dz, place, load(dz, place) - certain * load(shares, i))


@inlined
def _log(total: Any) -> Any:
    """log of a sum of exponentials, of which one is 1: or NaN, where a logit is."""
    return where(total == total, log(total), total)


@inlined
def _maximum(tile: Tile, z: Any, j: int, outputs: int) -> Any:
    """The largest number of each of the samples from `j` on."""
    top = load_lanes(tile, z, j)
    for c in range(1, outputs):
        row = load_lanes(tile, z, c * tile.columns + j)
        top = where(row > top, row, top)
    return top
