"""A loss at one batch: its value and gradient there, and the error for what does not hold there."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mlp_scratch._types import Array
from mlp_scratch.losses import CrossEntropy
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.failure import PropertyError, literal, made
from mlp_scratch.testing.point import Counts

Optimum = Callable[[Array], Any]
"""From targets to the logits at which a loss is smallest, (N, K)."""


class HasGradient(Protocol):
    """What a loss needs: a mean over the samples, and its gradient with respect to z; `weights` may be left out."""

    def value(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        """The loss of a batch of logits z (N, K) with targets t and sample weights (N,): one number."""

    def gradient(self, z: Array, t: Array, weights: Array | None = None) -> Array:
        """dz, (N, K)."""


@dataclass(frozen=True)
class LossPoint:
    """A loss at one batch.

    Attributes:
        loss: what is checked.
        z: logits, (N, K) float64.
        t: targets, as the loss takes them.
        weights: (N,) or None.
        takes_weights: whether the loss does, as a third argument.
        dtype: of the logits as they were given.
        shift_invariant: whether adding a number to a row of z changes nothing, as for a softmax; None: not said.
        optimum: the logits at which the loss is smallest; None: not said.
        counts: of derivatives.
    """

    loss: HasGradient
    z: Array
    t: Array
    weights: Array | None
    takes_weights: bool
    dtype: "np.dtype[Any]"
    shift_invariant: bool | None
    optimum: Optimum | None
    counts: Counts

    def value(self) -> Any:
        """The loss of the batch, as it comes from copies of the arrays."""
        return self.loss.value(*self.arguments())

    def gradient(self) -> Array:
        """Its gradient, the same way."""
        return self.loss.gradient(*self.arguments())

    def arguments(self) -> list[Any]:
        """Copies of z, t and weights; without weights for a loss that takes none."""
        arrays = (self.z, self.t, self.weights)
        given = [None if array is None else array.copy(order="K") for array in arrays]
        return given if self.takes_weights else given[:2]

    def at(self, **changes: Any) -> "LossPoint":
        """The loss at other logits, targets or weights."""
        return replace(self, **changes)

    def in_dtype(self) -> "LossPoint":
        """The loss at the same numbers in the dtype in which the logits were given."""
        return self._as(self.dtype)

    def in_double(self) -> "LossPoint":
        """The loss at the same numbers in float64."""
        return self._as(np.dtype(np.float64))

    def _as(self, dtype: "np.dtype[Any]") -> "LossPoint":
        t = self.t.astype(dtype) if self.t.dtype.kind == "f" else self.t
        weights = None if self.weights is None else self.weights.astype(dtype)
        return replace(self, z=self.z.astype(dtype), t=t, weights=weights)

    def is_shift_invariant(self) -> bool:
        """As it was said; else for this package's cross-entropy only."""
        return isinstance(self.loss, CrossEntropy) if self.shift_invariant is None else self.shift_invariant

    def compare(
        self, name: str, claim: str, actual: Array, expected: Array, allowed: float, labels: tuple[str, str]
    ) -> None:
        """Raise unless the arrays agree."""
        where = tolerances.worst(np.asarray(actual), np.asarray(expected), allowed)
        if where is not None:
            a, b = float(np.asarray(actual)[where]), float(np.broadcast_to(expected, np.shape(actual))[where])
            place = "the value" if where == () else f"dz[{', '.join(map(str, where))}]"
            raise self.error(
                name, claim, {"of": place, labels[0]: a, labels[1]: b, "off by": abs(a - b), "allowed": allowed}
            )

    def allowed(self, *arrays: Array, dtype: npt.DTypeLike = np.float64) -> float:
        """Rounding of what is computed from these logits."""
        size = tolerances.largest(self.z, self.t, *(np.asarray(a) for a in arrays)) + 1
        return tolerances.rounding(self.z.size, size, dtype)

    def error(self, name: str, claim: str, facts: dict[str, object]) -> PropertyError:
        """The error for a violated property of this loss."""
        z = self.z.astype(self.dtype)
        options = "" if self.weights is None else f", weights={literal(self.weights)}"
        options += "" if self.shift_invariant is None else f", shift_invariant={self.shift_invariant}"
        options += "" if self.optimum is None else ", optimum=optimum"
        options += "" if name == "shapes" else f", only=[{name!r}]"  # shapes are always checked
        code = (
            "import numpy as np\nfrom mlp_scratch.testing import check_loss\n"
            f"{made('loss', self.loss, 'mlp_scratch.losses')}"
            + ("" if self.optimum is None else "optimum = ...  # yours\n")
            + f"check_loss(loss, {literal(z)}, {literal(self.t)}{options})"
        )
        given: dict[str, object] = {"z": z, "t": self.t, "weights": self.weights}
        return PropertyError(name, claim, {"loss": type(self.loss).__name__, **facts, **given}, code)


def takes_weights(loss: HasGradient) -> bool:
    """Whether `loss` takes sample weights as a third argument."""
    try:
        for method in (loss.value, loss.gradient):
            inspect.signature(method).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # compiled code tells nothing of its arguments
        return True
    return True
