"""The optimiser's step over blocks of neighbouring parameters, `rules.Rule` by `rules.Rule`.

What a rule remembers lies in slots of the layout of the parameters, `slot_step` elements apart. So one
formula serves a block of weights whose gradient is still in registers, and a vector of biases alike.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import sqrt
from typing import Any, TypeAlias

from mlp_kernels.cpu.blocks import next_rows
from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.elementary import expm1
from mlp_kernels.cpu.memory import load, number, shift, store
from mlp_kernels.cpu.native import FLOATS, INT, address
from mlp_kernels.cpu.prefetch import part_prefetch, shared_pace
from mlp_kernels.cpu.rules import (
    BETA1,
    BETA2,
    EPS,
    L2,
    LR,
    ONE_MINUS_BETA1,
    ONE_MINUS_BETA2,
    SHRINK,
    STEP_SIZE,
    Rule,
)
from mlp_kernels.cpu.tile import Tile
from mlp_kernels.cpu.weight_tiles import update_lanes, weights_column, weights_tile

Update: TypeAlias = Callable[..., None]

AHEAD_HALVES = 3
"""Halves of a block of weights that are prefetched while the multiply-adds of a block run: its own in two thirds of
the time, and half of the next one. Evenly, since a whole block at once, and as much again for each slot, would leave
no line-fill buffer for anything else."""


# The numbers of an optimiser, float64, as the backend has them.
CONSTANTS = 8
(
    DECAY,  # weight decay
    DECOUPLED,  # 1 if that shrinks the weights and not through the gradient
    FIRST_BETA,  # μ of momentum; of Adam β₁, and what follows
    SECOND_BETA,
    EPSILON,
    EPSILON_FIRST,  # 1 if eps is added before the correction of v (Keras), 0 if after it (PyTorch)
    LOG_FIRST_BETA,  # less than 0: it is Adam
    LOG_SECOND_BETA,
) = range(CONSTANTS)

STEPS_AT_ONCE = 16
"""Steps whose corrections are worked out together, in vectors that LLVM makes of the loop: one by one they would be a
good part of a small network's step."""
CORRECTIONS = 2 * STEPS_AT_ONCE
"""How many numbers that is."""


@kernel
def is_adam(constants: Any) -> bool:
    """Whether the numbers are Adam's."""
    return load(constants, LOG_FIRST_BETA) < 0.0


@kernel
def set_corrections(constants: Any, step: int, corrections: Any) -> None:
    """What undoes that Adam's averages start at zero, for `STEPS_AT_ONCE` steps from `step` on, counted from 1.

    m̂ / (√v̂ + eps) = (√(1 - β₂ᵗ) / (1 - β₁ᵗ)) m / (√v + eps √(1 - β₂ᵗ)): first the factor of m of each step, then
    that of eps. 1 - βᵗ is worked out from the logarithm: a power of integers is a loop with a branch in it.
    """
    if not is_adam(constants):
        return
    log_beta1, log_beta2 = load(constants, LOG_FIRST_BETA), load(constants, LOG_SECOND_BETA)
    for i in range(STEPS_AT_ONCE):
        root = sqrt(-expm1((step + i) * log_beta2))
        store(corrections, i, -root / expm1((step + i) * log_beta1))
        store(corrections, STEPS_AT_ONCE + i, root)


@kernel
def set_hyper_parameters(constants: Any, lr: float, correction: Any, hyper: Any) -> None:
    """Fill the row of `rules.Hyper` for the step that `correction`, one of `set_corrections`, belongs to."""
    decay, decoupled = load(constants, DECAY), load(constants, DECOUPLED) != 0.0
    store(hyper, LR, number(hyper, lr))
    store(hyper, L2, number(hyper, 0.0 if decoupled else decay))
    store(hyper, SHRINK, number(hyper, 1.0 - lr * decay if decoupled else 1.0))
    store(hyper, BETA1, number(hyper, load(constants, FIRST_BETA)))
    if is_adam(constants):
        beta1, beta2 = load(constants, FIRST_BETA), load(constants, SECOND_BETA)
        store(hyper, ONE_MINUS_BETA1, number(hyper, 1.0 - beta1))
        store(hyper, BETA2, number(hyper, beta2))
        store(hyper, ONE_MINUS_BETA2, number(hyper, 1.0 - beta2))
        store(hyper, STEP_SIZE, number(hyper, lr * load(correction, 0)))
        eps, first = load(constants, EPSILON), load(constants, EPSILON_FIRST) != 0.0
        store(hyper, EPS, number(hyper, eps if first else eps * load(correction, STEPS_AT_ONCE)))


@cache
def vector_update_of(rule: Rule) -> Update:
    """The update of `count` neighbouring parameters at p with the gradient at g.

    Whole vectors are updated: what lies between a vector of parameters and the next one has no gradient.
    """

    def vector_update(tile: Tile, p: Any, slot_step: int, g: Any, count: int, hyper: Any) -> None:
        for i in range(0, count, tile.lanes):
            update_lanes(tile, rule, shift(p, i), slot_step, shift(g, i), hyper)

    return vector_update


@cache
def weights_update_of(rule: Rule) -> Update:
    """dW = x dzᵀ for inputs `begin` to `end` and the panels of outputs `first` to `last`, and the step that follows.

    The samples of a feature lie in panels `hop` elements apart, `dz` has panels of outputs `dz_step` apart, and
    the weights panels of `w_rows` rows; what the rule remembers of them begins at `slots`.
    """

    def weights_update(
        tile: Tile,
        x: Any,
        hop: int,
        dz: Any,
        dz_step: int,
        outputs: int,
        first: int,
        last: int,
        begin: int,
        end: int,
        n: int,
        weights: Any,
        w_rows: int,
        slots: Any,
        slot_step: int,
        hyper: Any,
    ) -> None:
        width = tile.columns
        pace = (AHEAD_HALVES * tile.rows * width * tile.element_bytes // 2 + n - 1) // n
        dz_pace = shared_pace(tile)
        # From the last one back: the way forward has left it in the caches, and will begin with the first.
        for panel in range(last - 1, first - 1, -1):
            d = shift(dz, panel * dz_step)
            columns = outputs - panel * width
            below = shift(dz, max(panel - 1, first) * dz_step)
            i, part = begin, 0
            while i < end:
                rows, place = next_rows(tile, end - i, columns), (panel * w_rows + i) * width
                x_block, w, s = shift(x, i * width), shift(weights, place), shift(slots, place)
                next_dz = part_prefetch(tile, below, part, n, dz_pace)
                weights_tile(tile, rule, rows, x_block, hop, d, n, w, s, slot_step, hyper, columns, pace, next_dz)
                i += rows
                part += 1

    return weights_update


@cache
def column_update_of(rule: Rule) -> Update:
    """The same for a layer of one output, whose gradient need not be transposed: its panels are `dz_hop` apart."""

    def column_update(
        tile: Tile,
        x: Any,
        hop: int,
        dz: Any,
        dz_hop: int,
        begin: int,
        end: int,
        n: int,
        weights: Any,
        slot_step: int,
        hyper: Any,
    ) -> None:
        for i in range(begin, end, tile.rows):
            rows, w = shift(x, i * tile.columns), shift(weights, i)
            weights_column(tile, rule, rows, hop, dz, dz_hop, n, w, slot_step, hyper)

    return column_update


def addresses(weights: Rule, vectors: Rule, tile: Tile, outputs: Sequence[int]) -> tuple[int, int, int]:
    """Where the compiled updates of a vector of parameters, of a block of weights and of a column of them lie.

    `outputs` are those of each layer: of the last two, the one that none of them needs is 0.
    """
    vector = (FLOATS, INT, FLOATS, INT, FLOATS)
    block = (FLOATS, INT, FLOATS, INT, INT, INT, INT, INT, INT, INT, FLOATS, INT, FLOATS, INT, FLOATS)
    column = (FLOATS, INT, FLOATS, INT, INT, INT, INT, FLOATS, INT, FLOATS)
    return (
        address(vector_update_of(vectors), vector, tile),
        address(weights_update_of(weights), block, tile) if any(n > 1 for n in outputs) else 0,
        address(column_update_of(weights), column, tile) if 1 in outputs else 0,
    )
