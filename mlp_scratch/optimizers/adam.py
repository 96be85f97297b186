"""Adam."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import unknown_name
from mlp_scratch.optimizers.base import Optimizer


@dataclass(frozen=True)
class Adam(Optimizer):
    """m = β₁ m + (1 - β₁) g, v = β₂ v + (1 - β₂) g², p = p - lr m̂ / (√v̂ + eps).

    m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) undo the bias of starting at zero. D. Kingma, J. Ba, ICLR 2015,
    arXiv:1412.6980, algorithm 1, which is PyTorch's form. With `eps_mode="keras"` eps is added before the bias of
    v is undone, lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + eps): the paper's last line of section 2, and Keras' form.

    Args:
        beta1, beta2: the decay rates of m and v, 0 <= β < 1.
        eps: keeps the step finite where the gradient is zero, 0 or more (Keras' default is 1e-7).
        eps_mode: "torch" or "keras", where eps is added.

    >>> p, slots = Adam(0.1).update(np.array([1.0]), np.array([5.0]), np.zeros((2, 1)), step=1, lr=0.1)
    >>> p.round(6)
    array([0.9])
    """

    kind = "adam"

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: Literal["torch", "keras"] = "torch"

    def check(self) -> None:
        super().check()
        checks.real("beta1", self.beta1, at_least=0.0, below=1.0)
        checks.real("beta2", self.beta2, at_least=0.0, below=1.0)
        checks.real("eps", self.eps, at_least=0.0)
        if self.eps_mode not in ("torch", "keras"):
            raise unknown_name("eps_mode", self.eps_mode, ["torch", "keras"])

    @property
    def slots(self) -> tuple[str, ...]:
        return ("m", "v")

    def constants(self) -> tuple[float, ...]:
        return (self.beta1, self.beta2, self.eps, float(self.eps_mode == "keras"))

    def update(
        self, p: Array, g: Array, slots: Array, *, step: int, lr: float, decayed: Array | float = 1.0
    ) -> tuple[Array, Array]:
        p, g = self._with_decay(p, g, lr, decayed)
        m = self.beta1 * slots[0] + (1 - self.beta1) * g
        v = self.beta2 * slots[1] + (1 - self.beta2) * g * g
        bias1, bias2 = 1 - self.beta1**step, 1 - self.beta2**step
        if self.eps_mode == "torch":
            p = p - (lr / bias1) * m / (np.sqrt(v) / sqrt(bias2) + self.eps)
        else:
            p = p - (lr * sqrt(bias2) / bias1) * m / (np.sqrt(v) + self.eps)
        return p, np.stack([m, v])
