"""What an optimiser is: a frozen record of hyper-parameters and one pure function from old to new parameters.

    p', slots' = optimizer.update(p, g, slots, step=t, lr=lr)

p and g are flat vectors, (P,). `slots` is what the optimiser remembers, (S, P), zeros before step 1. Nothing is
changed in place, so a step that yields a NaN can be thrown away.

Weight decay λ is an L2 penalty by default (coupled: g + λp, as in PyTorch's SGD and Adam), or shrinks the
parameters apart from the gradient (decoupled: p (1 - lr λ), as in AdamW; I. Loshchilov, F. Hutter, ICLR 2019,
arXiv:1711.05101). It acts on all parameters, as PyTorch's does, or, with `decay="weights"`, on the weight
matrices alone; `decayed` then tells them apart, (P,), 1 where a parameter decays and else 0.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import unknown_name
from mlp_scratch.record import Record


@dataclass(frozen=True)
class Optimizer(Record):
    """Base class of all optimisers; a new one overrides `slots`, `constants` and `update`.

    Args:
        lr: the learning rate.
        weight_decay: λ.
        decoupled: whether the decay acts on the parameters instead of on the gradient.
        decay: which parameters it acts on: "all", or "weights", the weight matrices.
    """

    kind: ClassVar[str]
    """The optimiser's name in model files and in programs."""

    lr: float = 1e-2
    weight_decay: float = 0.0
    decoupled: bool = False
    decay: Literal["all", "weights"] = "all"

    def check(self) -> None:
        checks.real("lr", self.lr, above=0.0, mend="try 0.001 for adam, 0.1 for sgd")
        checks.real("weight_decay", self.weight_decay, at_least=0.0)
        if self.decay not in ("all", "weights"):
            raise unknown_name("decay", self.decay, ["all", "weights"])

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the vectors it remembers, in the order of the rows of the slot array."""
        return ()

    def constants(self) -> tuple[float, ...]:
        """The hyper-parameters of its own that a compiled backend needs, besides those of every optimiser."""
        return ()

    def update(
        self, p: Array, g: Array, slots: Array, *, step: int, lr: float, decayed: Array | float = 1.0
    ) -> tuple[Array, Array]:
        """The parameters and slots after step `step`, counted from 1."""
        raise NotImplementedError

    def _with_decay(self, p: Array, g: Array, lr: float, decayed: Array | float) -> tuple[Array, Array]:
        """`p` and `g` with the weight decay in them."""
        if self.weight_decay == 0.0:
            return p, g
        if self.decoupled:
            return p * (1 - lr * self.weight_decay * decayed), g
        return p, g + self.weight_decay * decayed * p
