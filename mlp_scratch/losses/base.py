"""What a loss is: the value of each sample and its gradient, side by side; weighting and averaging happen once, here.

For logits z (N, K), targets t and sample weights w (N,), with ℓ the loss of one sample,

    value = Σ w ℓ / Σ w          dz = w / Σ w · dℓ/dz

Without weights that is the mean over the samples. A batch whose weights are all zero has value 0 and gradient 0.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.record import Record


@dataclass(frozen=True)
class Loss(Record):
    """Base class of all losses.

    A new one overrides the first three methods, and those below them where predictions are not z itself.
    """

    kind: ClassVar[str]
    """The loss's name in the table, in model files and in messages."""

    analytic: ClassVar[bool] = False
    """Whether `sample_values` is analytic in z, so that a complex step through it is exact; as for a `Layer`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.analytic = vars(cls).get("analytic", False)

    classifies: ClassVar[bool] = False
    """Whether predictions are right or wrong, so that there is an accuracy."""

    def prepare(self, y: object, n_outputs: int, dtype: "np.dtype[np.floating]") -> Array:
        """Check the targets of N samples and bring them into the form that the other methods take."""
        raise NotImplementedError

    def sample_values(self, z: Array, t: Array) -> Array:
        """ℓ of each sample, (N,)."""
        raise NotImplementedError

    def sample_gradients(self, z: Array, t: Array) -> Array:
        """dℓ/dz of each sample, (N, K)."""
        raise NotImplementedError

    def predictions(self, z: Array) -> Array:
        """What the logits predict: classes, labels, or for a regression z itself."""
        return z

    def probabilities(self, z: Array) -> Array | None:
        """The probabilities that the logits stand for, (N, K); None for a regression."""
        return None

    def accuracies(self, z: Array, t: Array) -> Array | None:
        """How right each sample's prediction is, (N,) in [0, 1]; None for a regression."""
        return None

    def pieces(self, z: Array, t: Array) -> Array | None:
        """Which smooth piece of ℓ each element of z lies on; None where ℓ is smooth throughout."""
        return None

    def constants(self) -> tuple[float, ...]:
        """The numbers, besides its kind, that a compiled backend needs."""
        return ()

    def value(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        """The loss of a batch: a scalar of the dtype of z."""
        return self.shares(z, weights) @ self.sample_values(z, t)

    def gradient(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        """dz, the gradient of `value` with respect to z, (N, K)."""
        return self.shares(z, weights)[:, np.newaxis] * self.sample_gradients(z, t)

    @staticmethod
    def shares(z: Array, weights: Array | None) -> Array:
        """w / Σ w, (N,): what each sample contributes to the mean."""
        if weights is None:
            return np.full(len(z), 1 / len(z), dtype=z.real.dtype)
        relative = weights / max(weights.max(), np.finfo(weights.dtype).tiny)  # so that no sum overflows
        total = relative.sum()
        return relative / total if total > 0 else relative


def real_targets(y: object, n_outputs: int, dtype: "np.dtype[np.floating]") -> Array:
    """Targets (N,) or (N, K) of real numbers, as an (N, K) array of the model's dtype."""
    given = checks.numeric("y", y)
    array = given[:, np.newaxis] if given.ndim == 1 else given
    if array.ndim != 2 or array.shape[1] != n_outputs:
        raise ArgumentError(
            "y",
            given=f"shape {given.shape}",
            expected=f"shape (N, {n_outputs})" + (" or (N,)" if n_outputs == 1 else ""),
            mend="the model has " + (f"{n_outputs} outputs" if n_outputs > 1 else "1 output"),
        )
    checks.finite("y", array, dtype)
    return array.astype(dtype)
