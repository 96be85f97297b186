"""The optimisers, as the step of one parameter whose gradient has just been worked out.

No gradient of a matrix is ever stored: whoever holds an element of it in a register updates the parameter at once.
What an optimiser remembers lies in slots of the layout of the parameters, `packed` elements behind each other.
"""

from functools import cache
from math import sqrt
from typing import Any

from mlp_kernels.cuda.device import ld1, st1
from mlp_kernels.cuda.network import (
    BETA1,
    BETA2,
    CORRECTION,
    DECAY,
    DECAYS_ALL,
    EPS,
    HYPER,
    HYPER_COLUMNS,
    L2,
    LR,
    ONE_MINUS_BETA1,
    ONE_MINUS_BETA2,
    OPTIMIZER,
    PACKED,
    RATE,
    about,
    constant,
)
from mlp_kernels.cuda.pure import pure

GRADIENT, SGD, MOMENTUM, NESTEROV, ADAM = range(5)
"""Kinds of updates; GRADIENT is none: the gradient is stored in the first slot."""

KINDS = {"gradient": GRADIENT, "sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV, "adam": ADAM}
"""Every update by its name."""


@cache
def updates_of(element: Any) -> Any:
    """The function that takes a parameter one step on."""
    zero, one = element(0.0), element(1.0)

    @pure
    def learn(f: Any, i: int, at: int, g: Any, is_weight: bool) -> None:
        """Step i of the parameter at place `at` of `work`, from its gradient g.

            sgd        p = p - lr g
            momentum   v = μ v + g, p = p - lr v
            nesterov   v = μ v + g, p = p - lr (g + μ v)
            adam       m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g², p = p - lr CORRECTION m / (√v + EPS)

        Adam's m̂ / (√v̂ + eps) is (√bias2 / bias1) m / (√v + eps √bias2).
        """
        kind, first = about(f, OPTIMIZER), at + about(f, PACKED)
        if kind == GRADIENT:
            st1(f.work, first, g)
            return
        hyper = about(f, HYPER) + i * HYPER_COLUMNS
        rate = ld1(f.feed, about(f, LR)) * ld1(f.feed, hyper + RATE)
        p, kept = ld1(f.work, at), one
        if is_weight or about(f, DECAYS_ALL) != 0:
            l2 = constant(f, L2)
            if l2 != zero:
                g = g + l2 * p
            kept = one - rate * constant(f, DECAY)
        direction = g
        if kind == ADAM:
            second = first + about(f, PACKED)
            m = constant(f, BETA1) * ld1(f.work, first) + constant(f, ONE_MINUS_BETA1) * g
            v = constant(f, BETA2) * ld1(f.work, second) + constant(f, ONE_MINUS_BETA2) * g * g
            st1(f.work, first, m)
            st1(f.work, second, v)
            rate = rate * ld1(f.feed, hyper + CORRECTION)
            direction = m / (sqrt(v) + ld1(f.feed, hyper + EPS))
        elif kind != SGD:
            mu = constant(f, BETA1)
            velocity = mu * ld1(f.work, first) + g
            st1(f.work, first, velocity)
            direction = g + mu * velocity if kind == NESTEROV else velocity
        st1(f.work, at, p * kept - rate * direction)

    return learn
