"""The losses of regression. Each averages over the K outputs of a sample, so that the mean is over all elements."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.losses.base import Loss, real_targets


@dataclass(frozen=True)
class _Regression(Loss):
    """Targets are real numbers, (N, K), or (N,) for a model of one output."""

    def prepare(self, y: object, n_outputs: int, dtype: "np.dtype[np.floating]") -> Array:
        return real_targets(y, n_outputs, dtype)


@dataclass(frozen=True)
class MSE(_Regression):
    """Mean squared error: ℓ = mean_k (z - t)².

    >>> MSE().value(np.array([[1.0], [3.0]]), np.array([[0.0], [0.0]]))
    np.float64(5.0)
    """

    kind = "mse"
    analytic = True

    def sample_values(self, z: Array, t: Array) -> Array:
        return ((z - t) ** 2).mean(axis=1)

    def sample_gradients(self, z: Array, t: Array) -> Array:
        return 2 * (z - t) / z.shape[1]


@dataclass(frozen=True)
class MAE(_Regression):
    """Mean absolute error: ℓ = mean_k |z - t|; the derivative where z = t is 0.

    >>> MAE().gradient(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
    array([[0.5],
           [0. ]])
    """

    kind = "mae"

    def sample_values(self, z: Array, t: Array) -> Array:
        return np.abs(z - t).mean(axis=1)

    def sample_gradients(self, z: Array, t: Array) -> Array:
        return np.sign(z - t) / z.shape[1]

    def pieces(self, z: Array, t: Array) -> Array:
        return np.sign(z - t)


@dataclass(frozen=True)
class Huber(_Regression):
    """ℓ = mean_k of r²/2 where |r| <= delta, else delta (|r| - delta/2), with r = z - t.

    P. Huber, "Robust estimation of a location parameter", 1964.

    Args:
        delta: the |r| > 0 at which the parabola becomes a line.

    >>> Huber(delta=1.0).value(np.array([[0.5], [3.0]]), np.array([[0.0], [0.0]]))
    np.float64(1.3125)
    """

    kind = "huber"

    delta: float = 1.0

    def check(self) -> None:
        checks.real("delta", self.delta, above=0.0)

    def sample_values(self, z: Array, t: Array) -> Array:
        r = np.abs(z - t)
        inside = np.minimum(r, self.delta)  # so that the branch that is not taken never overflows
        return np.where(r <= self.delta, 0.5 * inside**2, self.delta * (r - 0.5 * self.delta)).mean(axis=1)

    def sample_gradients(self, z: Array, t: Array) -> Array:
        return np.clip(z - t, -self.delta, self.delta) / z.shape[1]

    def pieces(self, z: Array, t: Array) -> Array:
        return np.sign(z - t) * (np.abs(z - t) > self.delta)

    def constants(self) -> tuple[float, ...]:
        return (self.delta,)
