"""Stochastic gradient descent, plain, with momentum, and with Nesterov's momentum."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.optimizers.base import Optimizer


@dataclass(frozen=True)
class SGD(Optimizer):
    """v = μ v + g, p = p - lr v; Nesterov's variant steps along g + μ v instead; μ = 0 is plain descent.

    PyTorch's form, in which the learning rate multiplies the whole velocity; I. Sutskever, J. Martens, G. Dahl,
    G. Hinton, ICML 2013, for momentum and Nesterov's variant.

    Args:
        momentum: μ, 0 <= μ < 1.
        nesterov: whether to look ahead; needs a momentum.

    >>> p, slots = np.array([1.0]), np.zeros((1, 1))
    >>> for t in (1, 2):
    ...     p, slots = SGD(0.1, momentum=0.5).update(p, np.array([1.0]), slots, step=t, lr=0.1)
    >>> p, slots
    (array([0.75]), array([[1.5]]))
    """

    kind = "sgd"

    momentum: float = 0.0
    nesterov: bool = False

    def check(self) -> None:
        super().check()
        checks.real("momentum", self.momentum, at_least=0.0, below=1.0)
        if self.nesterov and self.momentum == 0.0:
            raise ArgumentError(
                "nesterov",
                given="True with momentum 0",
                expected="a momentum above 0",
                mend="try momentum=0.9",
            )

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def constants(self) -> tuple[float, ...]:
        return (self.momentum, float(self.nesterov))

    def update(
        self, p: Array, g: Array, slots: Array, *, step: int, lr: float, decayed: Array | float = 1.0
    ) -> tuple[Array, Array]:
        p, g = self._with_decay(p, g, lr, decayed)
        if self.momentum == 0.0:
            return p - lr * g, slots
        v = self.momentum * slots[0] + g
        direction = g + self.momentum * v if self.nesterov else v
        return p - lr * direction, np.stack([v])
