"""The optimisers as formulas, each written once: for NumPy arrays, and for vectors of a kernel being generated.

A rule takes the gradient g of a parameter and what it remembers of earlier ones, and returns what is subtracted from
the parameter and what it remembers from now on. `h` are the hyper-parameters of the step, see `Hyper`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from mlp_kernels.cpu.constants import compile_time
from mlp_kernels.cpu.lanes import Lanes

Formula: TypeAlias = Callable[..., tuple[Any, ...]]


class Hyper(NamedTuple):
    """The hyper-parameters of one step, worked out once: `updates.set_hyper_parameters` writes them in this order.

    Attributes:
        lr: the learning rate.
        l2: what is added to the gradient, times the parameter: a coupled weight decay.
        shrink: what the parameter is multiplied by: 1 - lr · a decoupled weight decay.
        beta1: β₁ of Adam; μ of momentum.
        one_minus_beta1: 1 - β₁.
        beta2: β₂ of Adam.
        one_minus_beta2: 1 - β₂.
        step_size: lr √(1 - β₂ᵗ) / (1 - β₁ᵗ), which corrects both averages for starting at zero.
        eps: Adam's eps on the scale of the uncorrected √v.
    """

    lr: Any
    l2: Any
    shrink: Any
    beta1: Any
    one_minus_beta1: Any
    beta2: Any
    one_minus_beta2: Any
    step_size: Any
    eps: Any


LR, L2, SHRINK, BETA1, ONE_MINUS_BETA1, BETA2, ONE_MINUS_BETA2, STEP_SIZE, EPS = range(len(Hyper._fields))
"""Where each lies in the row that kernels read."""


def root(x: Any) -> Any:
    """√x of an array or of lanes."""
    return x.sqrt() if isinstance(x, Lanes) else np.sqrt(x)


def quotient(x: Any, y: Any, fast: bool) -> Any:
    """x / y of arrays or of lanes, where `fast` with the last bit or two left open."""
    return x.divided_by(y) if fast and isinstance(x, Lanes) else x / y


def sgd(h: Hyper, g: Any, fast: bool) -> tuple[Any, ...]:
    """The step lr g; nothing is remembered."""
    return (h.lr * g,)


def momentum(h: Hyper, g: Any, velocity: Any, fast: bool) -> tuple[Any, ...]:
    """v = μ v + g; lr v."""
    velocity = h.beta1 * velocity + g
    return h.lr * velocity, velocity


def nesterov(h: Hyper, g: Any, velocity: Any, fast: bool) -> tuple[Any, ...]:
    """v = μ v + g; lr (g + μ v)."""
    velocity = h.beta1 * velocity + g
    return h.lr * (g + h.beta1 * velocity), velocity


def adam(h: Hyper, g: Any, m: Any, v: Any, fast: bool) -> tuple[Any, ...]:
    """m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g²; STEP_SIZE m / (√v + EPS)."""
    m = h.beta1 * m + h.one_minus_beta1 * g
    v = h.beta2 * v + h.one_minus_beta2 * (g * g)
    return quotient(h.step_size * m, root(v) + h.eps, fast), m, v


FORMULAS: dict[str, tuple[Formula, int]] = {
    "sgd": (sgd, 0),
    "momentum": (momentum, 1),
    "nesterov": (nesterov, 1),
    "adam": (adam, 2),
}
"""Every rule with the number of slots that it remembers for a parameter."""


@compile_time("slots")
@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with a gradient as soon as it is known.

    Attributes:
        name: a key of `FORMULAS`; or "gradient", which stores it in the first slot and leaves the parameter alone.
        decays: whether there is a weight decay; one that is zero would cost a multiply-add for each parameter.
        fast: whether quotients may leave the last bit or two open; for denominators that are normal numbers.
    """

    name: str
    decays: bool = False
    fast: bool = False

    @property
    def slots(self) -> int:
        """Numbers that are remembered for each parameter."""
        return 1 if self.name == "gradient" else FORMULAS[self.name][1]

    def apply(self, h: Hyper, p: Any, g: Any, slots: list[Any]) -> tuple[Any, list[Any]]:
        """The parameter and the slots after a step, of arrays or of lanes.

        >>> h = Hyper(lr=0.5, l2=0.0, shrink=1.0, beta1=0.9, **dict.fromkeys(Hyper._fields[4:], 0.0))
        >>> Rule("momentum").apply(h, np.array([1.0]), np.array([0.2]), [np.array([1.0])])
        (array([0.45]), [array([1.1])])
        """
        if self.name == "gradient":
            return p, [g]
        if self.decays:
            g = g + h.l2 * p
        change, *slots = FORMULAS[self.name][0](h, g, *slots, fast=self.fast)
        return (h.shrink * p if self.decays else p) - change, slots
