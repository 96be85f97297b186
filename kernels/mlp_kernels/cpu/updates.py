"""The optimisers, over blocks of neighbouring parameters.

An optimiser is a number and a row of hyper-parameters that are worked out once a step; what it remembers lies in
slots of the layout of the parameters, `slot_step` elements behind each other. So one loop serves a block of weights
whose gradient has just left the registers, and a vector of biases alike.
"""

from math import sqrt
from typing import Any

import numpy as np

from mlp_kernels.cpu.compiling import kernel
from mlp_kernels.cpu.memory import load, number, store

GRADIENT, SGD, MOMENTUM, NESTEROV, ADAM = range(5)
"""The optimisers by number; GRADIENT leaves the parameters alone and stores the gradient in the first slot."""

LR, L2, SHRINK, BETA1, ONE_MINUS_BETA1, BETA2, ONE_MINUS_BETA2, STEP_SIZE, EPS = range(9)
"""The hyper-parameters of a step. L2 is added to the gradient, SHRINK multiplies the parameter: one of the two is a
weight decay, coupled or decoupled. Adam's corrections for starting at zero are in STEP_SIZE and EPS."""


@kernel
def set_hyper_parameters(optimizer: int, constants: Any, lr: float, step: int, hyper: Any) -> None:
    """Fill the row for step `step`, counted from 1.

    `constants` is weight decay, whether it is decoupled, and the optimiser's own: μ; or β₁, β₂, eps, and whether
    eps is added before the correction of v (1, Keras) or after it (0, PyTorch).
    """
    decay, decoupled = constants[0], constants[1] != 0.0
    store(hyper, LR, number(hyper, lr))
    store(hyper, L2, number(hyper, 0.0 if decoupled else decay))
    store(hyper, SHRINK, number(hyper, 1.0 - lr * decay if decoupled else 1.0))
    store(hyper, BETA1, number(hyper, constants[2]))
    if optimizer == ADAM:
        beta1, beta2, eps = constants[2], constants[3], constants[4]
        bias1, root = 1.0 - beta1**step, sqrt(1.0 - beta2**step)
        # m̂ / (√v̂ + eps) = (√bias2 / bias1) m / (√v + eps √bias2)
        store(hyper, ONE_MINUS_BETA1, number(hyper, 1.0 - beta1))
        store(hyper, BETA2, number(hyper, beta2))
        store(hyper, ONE_MINUS_BETA2, number(hyper, 1.0 - beta2))
        store(hyper, STEP_SIZE, number(hyper, lr * root / bias1))
        store(hyper, EPS, number(hyper, eps if constants[5] != 0.0 else eps * root))


@kernel
def update(optimizer: int, p: Any, slot_step: int, g: Any, count: int, hyper: Any, decayed: int) -> None:
    """One step of `count` parameters at `p` with the gradient at `g`; weight decay only where `decayed`."""
    lr = load(hyper, LR)
    l2 = load(hyper, L2) if decayed else number(p, 0.0)
    shrink = load(hyper, SHRINK) if decayed else number(p, 1.0)
    if optimizer == GRADIENT:
        for i in range(count):
            store(p, slot_step + i, load(g, i))
    elif optimizer == SGD:
        for i in range(count):
            w = load(p, i)
            d = load(g, i) + l2 * w
            store(p, i, w * shrink - lr * d)
    elif optimizer == MOMENTUM or optimizer == NESTEROV:
        mu = load(hyper, BETA1)
        for i in range(count):
            w = load(p, i)
            d = load(g, i) + l2 * w
            velocity = mu * load(p, slot_step + i) + d
            store(p, slot_step + i, velocity)
            direction = d + mu * velocity if optimizer == NESTEROV else velocity
            store(p, i, w * shrink - lr * direction)
    elif optimizer == ADAM:
        beta1, rest1 = load(hyper, BETA1), load(hyper, ONE_MINUS_BETA1)
        beta2, rest2 = load(hyper, BETA2), load(hyper, ONE_MINUS_BETA2)
        size, eps = load(hyper, STEP_SIZE), load(hyper, EPS)
        for i in range(count):
            w = load(p, i)
            d = load(g, i) + l2 * w
            m = beta1 * load(p, slot_step + i) + rest1 * d
            v = beta2 * load(p, 2 * slot_step + i) + rest2 * d * d
            store(p, slot_step + i, m)
            store(p, 2 * slot_step + i, v)
            store(p, i, w * shrink - size * m / (np.sqrt(v) + eps))
