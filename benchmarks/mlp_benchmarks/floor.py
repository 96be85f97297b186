"""What a step costs at least: its arithmetic at the processor's peak, its memory traffic at full bandwidth.

Both are lower bounds that no program can beat, so a multiple of the floor tells how much there is left to win,
whoever is fastest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlp_benchmarks.cases import OPTIMIZERS, Case

FLOAT32 = 4
"""Bytes a number."""


@dataclass(frozen=True)
class Peaks:
    """The measured ceilings of some threads: 1e9 floating-point operations and 1e9 bytes a second."""

    gflops: float
    gbytes_per_second: float


def flops_per_step(case: Case) -> int:
    """The floating-point operations of a step's matrix products, a multiplication and an addition being two.

    With batch N, a layer from D to H takes 2 N D H each for the forward product, for the gradient of the weights and
    for that of the inputs, which the first layer does not need. What is done once an element (bias, ReLU, loss,
    update) is left out: it is under a hundredth of the work, but in the smallest networks and with Adam at small
    batches, where the floor is that much too low.

    >>> from mlp_benchmarks.cases import CASES
    >>> flops_per_step(CASES["xy-1x24"])  # 2·32·(2·24)·2 + 2·32·(24·1)·3
    10752
    """
    products = [2 * case.batch * n_in * n_out for n_in, n_out in case.layers]
    return 3 * sum(products) - products[0]


def bytes_per_step(case: Case, optimizer: str) -> int:
    """The bytes that a step moves when no cache keeps anything from one step to the next.

    Each parameter and each number that the optimiser remembers is read once and written once, and the batch is read
    once: 2·4·P·(1 + S) + 4·N·(D + 1). Gradients and activations need not leave the cache, so they don't count.

    >>> from mlp_benchmarks.cases import CASES
    >>> bytes_per_step(CASES["xy-1x24"], "adam")  # 8·97·3 + 4·32·3
    2712
    """
    state = case.n_parameters * (1 + len(OPTIMIZERS[optimizer].slots))
    return 2 * FLOAT32 * state + FLOAT32 * case.batch * (case.widths[0] + 1)


def floor_us(flops: int, moved: int, peaks: Peaks, cache: int | None) -> float:
    """The least microseconds a step can take, the larger of its arithmetic and its memory traffic.

    `flops` and `moved` are its operations and bytes, `peaks` those of as many threads as train, `cache` the size of the
    last-level cache in bytes. Between two steps the cache keeps so many bytes that need not be read again, and as many
    that need not be written: that much may never reach memory. None, for unknown, stands for a cache that holds
    everything.

    >>> from mlp_benchmarks.cases import CASES
    >>> d2l, peaks = CASES["d2l"], Peaks(gflops=117.4, gbytes_per_second=30.0)
    >>> round(floor_us(flops_per_step(d2l), bytes_per_step(d2l, "sgd"), peaks, cache=None))
    1784
    """
    traffic = 0 if cache is None else max(0, moved - 2 * cache)
    return max(flops / peaks.gflops, traffic / peaks.gbytes_per_second) / 1e3


def last_level_cache(machine: Mapping[str, Any]) -> int | None:
    """The size of the largest cache in the record of `mlp_scratch.machine`, in bytes; None where it is not known.

    >>> last_level_cache({"cpu": {"caches": {"l1d": 32768, "l2": 1048576, "l3": None}}})
    1048576
    """
    sizes = machine.get("cpu", {}).get("caches", {}).values()
    return max((size for size in sizes if size), default=None)
