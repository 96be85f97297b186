"""The optimisers, over blocks of neighbouring parameters.

An optimiser is a number and a row of hyper-parameters that are worked out once a step; what it remembers lies in
slots of the layout of the parameters, `slot_step` elements behind each other. So one loop serves a block of weights
whose gradient has just left the registers, and a vector of biases alike.
"""

from collections.abc import Callable
from functools import cache
from math import sqrt
from typing import Any, TypeAlias

import numpy as np

from mlp_kernels.cpu.compiling import inlined, kernel
from mlp_kernels.cpu.layer_tiles import backward_tile, local_block
from mlp_kernels.cpu.memory import load, number, shift, store
from mlp_kernels.cpu.native import FLOATS, INT, address
from mlp_kernels.cpu.tile import Tile

Step: TypeAlias = Callable[..., None]

LR, L2, SHRINK, BETA1, ONE_MINUS_BETA1, BETA2, ONE_MINUS_BETA2, STEP_SIZE, EPS = range(9)
"""The hyper-parameters of a step. L2 is added to the gradient, SHRINK multiplies the parameter: one of the two is a
weight decay, coupled or decoupled. Adam's corrections for starting at zero are in STEP_SIZE and EPS."""


@kernel
def set_hyper_parameters(constants: Any, lr: float, step: int, hyper: Any) -> None:
    """Fill the row for step `step`, counted from 1.

    `constants` is weight decay, whether it is decoupled, then μ; or for Adam β₁, β₂, eps, and whether eps is added
    before the correction of v (1, Keras) or after it (0, PyTorch).
    """
    decay, decoupled = load(constants, 0), load(constants, 1) != 0.0
    store(hyper, LR, number(hyper, lr))
    store(hyper, L2, number(hyper, 0.0 if decoupled else decay))
    store(hyper, SHRINK, number(hyper, 1.0 - lr * decay if decoupled else 1.0))
    store(hyper, BETA1, number(hyper, load(constants, 2)))
    if load(constants, 3) > 0.0:
        beta1, beta2, eps = load(constants, 2), load(constants, 3), load(constants, 4)
        bias1, root = 1.0 - beta1**step, sqrt(1.0 - beta2**step)
        # m̂ / (√v̂ + eps) = (√bias2 / bias1) m / (√v + eps √bias2)
        store(hyper, ONE_MINUS_BETA1, number(hyper, 1.0 - beta1))
        store(hyper, BETA2, number(hyper, beta2))
        store(hyper, ONE_MINUS_BETA2, number(hyper, 1.0 - beta2))
        store(hyper, STEP_SIZE, number(hyper, lr * root / bias1))
        store(hyper, EPS, number(hyper, eps if load(constants, 5) != 0.0 else eps * root))


@inlined
def gradient(p: Any, slot_step: int, i: int, d: Any, shrink: Any, h: Any) -> None:
    """No step: the gradient is stored in the first slot."""
    store(p, slot_step + i, d)


@inlined
def sgd(p: Any, slot_step: int, i: int, d: Any, shrink: Any, h: Any) -> None:
    """p = p - lr g."""
    store(p, i, load(p, i) * shrink - h[LR] * d)


@inlined
def momentum(p: Any, slot_step: int, i: int, d: Any, shrink: Any, h: Any) -> None:
    """v = μ v + g, p = p - lr v."""
    velocity = h[BETA1] * load(p, slot_step + i) + d
    store(p, slot_step + i, velocity)
    store(p, i, load(p, i) * shrink - h[LR] * velocity)


@inlined
def nesterov(p: Any, slot_step: int, i: int, d: Any, shrink: Any, h: Any) -> None:
    """v = μ v + g, p = p - lr (g + μ v)."""
    velocity = h[BETA1] * load(p, slot_step + i) + d
    store(p, slot_step + i, velocity)
    store(p, i, load(p, i) * shrink - h[LR] * (d + h[BETA1] * velocity))


@inlined
def adam(p: Any, slot_step: int, i: int, d: Any, shrink: Any, h: Any) -> None:
    """m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g², p = p - STEP_SIZE m / (√v + EPS)."""
    m = h[BETA1] * load(p, slot_step + i) + h[ONE_MINUS_BETA1] * d
    v = h[BETA2] * load(p, 2 * slot_step + i) + h[ONE_MINUS_BETA2] * d * d
    store(p, slot_step + i, m)
    store(p, 2 * slot_step + i, v)
    store(p, i, load(p, i) * shrink - h[STEP_SIZE] * m / (np.sqrt(v) + h[EPS]))


OPTIMIZERS = {"gradient": gradient, "sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam}
"""Every optimiser as a step of one parameter, element i of p, whose gradient is d."""


@inlined
def _update_block(step: Step, p: Any, slot_step: int, g: Any, count: int, hyper: Any, decayed: int) -> None:
    """The loop over `count` neighbours; the hyper-parameters are read before it, so that they stay in registers."""
    h = (
        load(hyper, LR),
        load(hyper, L2),
        load(hyper, SHRINK),
        load(hyper, BETA1),
        load(hyper, ONE_MINUS_BETA1),
        load(hyper, BETA2),
        load(hyper, ONE_MINUS_BETA2),
        load(hyper, STEP_SIZE),
        load(hyper, EPS),
    )
    shrink, l2 = h[SHRINK], h[L2]
    if not decayed:
        shrink, l2 = number(p, 1.0), number(p, 0.0)
    if l2 != number(p, 0.0):
        for i in range(count):
            step(p, slot_step, i, load(g, i) + l2 * load(p, i), shrink, h)
    else:
        for i in range(count):
            step(p, slot_step, i, load(g, i), shrink, h)


@cache
def vector_update_of(step: Step) -> Step:
    """The update of `count` neighbouring parameters at p with the gradient at g; weight decay where `decayed`."""

    def vector_update(tile: Tile, p: Any, slot_step: int, g: Any, count: int, hyper: Any, decayed: int) -> None:
        _update_block(step, p, slot_step, g, count, hyper, decayed)

    return vector_update


@cache
def weights_update_of(step: Step) -> Step:
    """dW = x dzᵀ for inputs `begin` to `end`, each tile of it handed to the optimiser at once.

    The samples of a feature lie in panels `hop` elements apart, `dz` has panels of outputs `dz_step` apart, and
    the weights panels of `w_rows` rows.
    """

    def weights_update(
        tile: Tile,
        x: Any,
        hop: int,
        dz: Any,
        dz_step: int,
        outputs: int,
        begin: int,
        end: int,
        n: int,
        weights: Any,
        w_rows: int,
        slot_step: int,
        hyper: Any,
    ) -> None:
        width, scratch = tile.columns, local_block(tile)
        for panel in range((outputs + width - 1) // width):
            d = shift(dz, panel * dz_step)
            for i in range(begin, end, tile.rows):
                backward_tile(tile, shift(x, i * width), hop, d, n, scratch, 1)
                w = shift(weights, (panel * w_rows + i) * width)
                _update_block(step, w, slot_step, scratch, tile.rows * width, hyper, 1)

    return weights_update


def addresses(name: str, tile: Tile) -> tuple[int, int]:
    """Where the compiled updates of a vector and of a block of weights lie."""
    step = OPTIMIZERS[name]
    vector = address(vector_update_of(step), (FLOATS, INT, FLOATS, INT, FLOATS, INT), tile)
    arguments = (FLOATS, INT, FLOATS, INT, INT, INT, INT, INT, FLOATS, INT, INT, FLOATS)
    return vector, address(weights_update_of(step), arguments, tile)
