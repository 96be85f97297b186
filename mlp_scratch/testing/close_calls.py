"""Predictions that hang on the last bits of the logits: which of two equal ones is the larger makes no difference."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.losses import Loss


@dataclass(frozen=True)
class CloseCalls(Loss):
    """A loss that tells right from wrong by logits some roundings of the largest away, and is otherwise the same.

    Where a saturated activation makes two logits equal, no small change of the parameters parts them.

    Attributes:
        loss: the loss.
        roundings: how far away at most.
        rng: which way, anew for every logit.
    """

    kind: ClassVar[str] = "close_calls"
    loss: Loss
    roundings: float
    rng: np.random.Generator

    def value(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        return self.loss.value(z, t, weights)

    def gradient(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        return self.loss.gradient(z, t, weights)

    def accuracies(self, z: Array, t: Array) -> Array | None:
        away = self.roundings * np.finfo(z.dtype).eps * np.abs(z).max()
        return self.loss.accuracies(z + self.rng.uniform(-away, away, z.shape).astype(z.dtype), t)
