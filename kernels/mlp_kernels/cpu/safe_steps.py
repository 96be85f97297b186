"""Steps on the only copy of the weights that there is: none is begun that might not end in finite numbers.

Where panels are a copy, the model keeps the state to which a diverging step falls back. A wide network has no room for
both: its weights are trained where the model has them (`in_place.py`), so what a step has changed is gone. Hence the
order of a step:

    forward, loss, all gradients of activations
    is it safe?        from the largest x and dz follows how large dW, and with it the optimiser's step, can be at most
    all updates

A step that isn't safe is not taken: statistics get their values from before, and whoever called takes it on a copy.
The bound is far from what numbers reach, unless training is about to diverge.

`note` and `judge` are called through addresses, see `native.py`: only wide networks need them compiled.
"""

from typing import Any

import numpy as np
from numba.types import CPointer

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import bits, from_bits, load, number, pointer_to, shift, store
from mlp_kernels.cpu.native import FLOATS, INT, INTS, REAL, address
from mlp_kernels.cpu.network import GRADIENT, INPUT, INPUT_ROWS, N_IN, N_OUT, ROWS, STAGE_COLUMNS
from mlp_kernels.cpu.rules import BETA1, EPS, L2, LR, SHRINK, STEP_SIZE
from mlp_kernels.cpu.threads import share
from mlp_kernels.cpu.tile import Tile

IS_SAFE, PARAMETERS, FIRST_SLOT, SECOND_SLOT, LARGEST = range(5)
"""Of `Memory.bounds`: whether the step at hand is safe; what no parameter exceeds, nor anything in the optimiser's two
vectors; and from LARGEST on, of each thread, the largest x and dz that it has seen."""

MARGIN = 8.0
"""How far below the largest number a bound has to be: roundings add a little to sums of products."""

REALS = CPointer(REAL)


def note(
    tile: Tile, stages: Any, lowest: int, n_stages: int, arena: Any, bounds: Any, n: int, thread: int, threads: int
) -> None:
    """Look at a thread's share of the n samples: at what each layer that learns reads, and at its gradient."""
    width, x, dz = tile.columns, 0.0, 0.0
    first, end = share((n + width - 1) // width, thread, threads)
    for s in range(max(lowest, 1), n_stages):
        row = shift(stages, s * STAGE_COLUMNS)
        for b in range(first, end):
            inputs = shift(arena, load(row, INPUT) + b * load(row, INPUT_ROWS) * width)
            gradient = shift(arena, load(row, GRADIENT) + b * load(row, ROWS) * width)
            x = max(x, _largest_of_panel(tile, inputs, load(row, N_IN), n - b * width))
            dz = max(dz, _largest_of_panel(tile, gradient, load(row, N_OUT), n - b * width))
    store(bounds, LARGEST + 2 * thread, x)
    store(bounds, LARGEST + 2 * thread + 1, dz)


def judge(
    tile: Tile,
    bounds: Any,
    n: int,
    threads: int,
    loss: float,
    gradients: Any,
    n_gradients: int,
    buffers: Any,
    before: Any,
    n_buffers: int,
    hyper: Any,
    is_adam: int,
) -> None:
    """Whether a step ends in finite numbers, of which all threads have noted their share: for one thread.

    `gradients` are those of the vectors of parameters. Statistics, in `buffers`, are put back to what they were
    `before` if it is not safe, else kept for the next step.
    |dW| <= n max|x| max|dz|, and each rule is a sum of products: of magnitudes, it is a bound.
    """
    x, dz = 0.0, 0.0
    for thread in range(threads):
        x = max(x, load(bounds, LARGEST + 2 * thread))
        dz = max(dz, load(bounds, LARGEST + 2 * thread + 1))
    weights, m, v = load(bounds, PARAMETERS), load(bounds, FIRST_SLOT), load(bounds, SECOND_SLOT)
    gradient = max(n * x * dz, _largest(gradients, n_gradients)) + load(hyper, L2) * weights
    if is_adam != 0:  # averages stay below the largest they are of
        m, v = max(m, gradient), max(v, gradient * gradient)
        change = load(hyper, STEP_SIZE) * m * max(1.0, 1.0 / load(hyper, EPS))
    else:
        m = load(hyper, BETA1) * m + gradient
        change = load(hyper, LR) * (gradient + max(1.0, load(hyper, BETA1)) * m)
    weights = abs(load(hyper, SHRINK)) * weights + change
    most = (3.4028234663852886e38 if tile.element_bytes == 4 else 1.7976931348623157e308) / MARGIN
    # Infinity times 0 is NaN, which `max` passes over: x and dz are looked at by themselves.
    is_finite = abs(loss) < np.inf and max(x, dz) < np.inf
    is_safe = is_finite and max(_largest(buffers, n_buffers), weights, m, v) < most
    source, to = (buffers, before) if is_safe else (before, buffers)
    for i in range(n_buffers):
        store(to, i, load(source, i))
    store(bounds, IS_SAFE, 1.0 if is_safe else 0.0)
    if is_safe:
        store(bounds, PARAMETERS, weights)
        store(bounds, FIRST_SLOT, m)
        store(bounds, SECOND_SLOT, v)


def addresses(tile: Tile) -> tuple[int, int]:
    """Where the code of `note` and of `judge` lies."""
    return (
        address(note, (INTS, INT, INT, FLOATS, REALS, INT, INT, INT), tile),
        address(judge, (REALS, INT, INT, REAL, FLOATS, INT, FLOATS, FLOATS, INT, FLOATS, INT), tile),
    )


@kernel
def largest(values: Any, thread: int, threads: int) -> float:
    """The largest magnitude in a thread's share of a vector; infinity if any of it is not finite."""
    first, end = share(values.size, thread, threads)
    return _largest(shift(pointer_to(values), first), end - first)


@kernel
def _largest_of_panel(tile: Tile, panel: Any, features: int, samples: int) -> float:
    """The same of a panel; what lies beyond the last sample may be anything."""
    if samples >= tile.columns:
        return _largest(panel, features * tile.columns)
    most = 0.0
    for k in range(features):
        most = max(most, _largest(shift(panel, k * tile.columns), samples))
    return most


@kernel
def _largest(values: Any, count: int) -> float:
    """The largest magnitude, or infinity; magnitudes are in the order of their bits, and NaN comes last."""
    zero = number(values, 0.0)
    sign, most = bits(-zero), np.int64(0)
    for i in range(count):
        most = max(most, bits(load(values, i)) & ~sign)
    value = np.float64(from_bits(zero, most))
    return value if value < np.inf else np.inf
