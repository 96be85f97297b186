"""A loss from two functions of numbers: no class to write, and compiled where the backend compiles."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.losses.base import Loss, real_targets
from mlp_scratch.scalars import Scalar, check_callable, check_name, elementwise


@dataclass(frozen=True)
class ScalarLoss(Loss):
    """ℓ = mean_k of f(z_k, t_k), for f and ∂f/∂z written as plain functions of an output and its target.

    What is said of `ScalarActivation` holds here too. Targets are real numbers, (N, K), or (N,) for one output.

    Args:
        name: what messages, listings and model files call it.
        f: the loss of one output.
        df: its derivative with respect to the output.
        piece: a function of the same two numbers that tells the smooth pieces of f apart, by returning another number
            on each; None where f is smooth throughout. A gradient check takes no difference across pieces.

    >>> quantile = ScalarLoss(
    ...     "quantile_90",
    ...     lambda z, t: 0.9 * (t - z) if t > z else 0.1 * (z - t),
    ...     lambda z, t: -0.9 if t > z else 0.1,
    ...     piece=lambda z, t: t > z,
    ... )
    >>> quantile.value(np.array([[1.0], [4.0]]), np.array([[2.0], [2.0]]))
    np.float64(0.55)
    """

    name: str
    f: Scalar
    df: Scalar
    piece: Scalar | None = None

    analytic = False  # a complex step would need functions of complex numbers

    @property
    def kind(self) -> str:  # type: ignore[override]  # each has its own
        """The name."""
        return self.name

    def check(self) -> None:
        check_name("name", self.name)
        check_callable("f", self.f)
        check_callable("df", self.df)
        if self.piece is not None:
            check_callable("piece", self.piece)

    def prepare(self, y: object, n_outputs: int, dtype: "np.dtype[np.floating]") -> Array:
        return real_targets(y, n_outputs, dtype)

    def sample_values(self, z: Array, t: Array) -> Array:
        return elementwise(f"f of {self.name}", self.f, z, t).mean(axis=1)

    def sample_gradients(self, z: Array, t: Array) -> Array:
        return elementwise(f"df of {self.name}", self.df, z, t) / z.shape[1]

    def pieces(self, z: Array, t: Array) -> Array | None:
        return None if self.piece is None else elementwise(f"piece of {self.name}", self.piece, z, t)
