"""Batch normalisation."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.initializers import Initializer
from mlp_scratch.layers.base import Context, Layer, Parameters


class Cache(NamedTuple):
    """What the backward pass needs; `mean` and `variance` are None where the running ones were used."""

    x_hat: Array  # (N, H)
    inverse_deviation: Array  # (H,)
    mean: Array | None  # (H,)
    variance: Array | None  # (H,), unbiased


@dataclass(frozen=True)
class BatchNorm(Layer):
    """y = γ x̂ + β with x̂ = (x - μ) / √(σ² + eps), per feature; γ is called weight and β bias.

    While training, μ and σ² are the batch's own (biased) mean and variance, and each step moves the running ones:
    running = (1 - momentum) · running + momentum · batch, with the unbiased variance, N / (N - 1) · σ². Otherwise
    the running ones are used. PyTorch's convention; S. Ioffe, C. Szegedy, ICML 2015, arXiv:1502.03167.

    Frozen (`trainable=False`), the layer is a fixed function of its input: it uses the running statistics while
    training, too, and they stay as they are. That is Keras' rule (keras.io/api/layers/normalization_layers, "About
    setting layer.trainable = False"); in PyTorch `requires_grad=False` keeps γ and β alone, and `.eval()` the rest.

    Because μ and σ depend on every sample of the batch,

        dx = γ / √(σ² + eps) · (dy - mean(dy) - x̂ · mean(dy · x̂)).

    Args:
        n_features: H; filled in by the model when left out.
        eps: keeps a feature without variance finite.
        momentum: the weight of the newest batch in the running statistics.

    >>> layer, x = BatchNorm(2, trainable=False), np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> running = {"running_mean": np.array([1.0, 2.0]), "running_var": np.ones(2)}
    >>> parameters = {"weight": np.ones(2), "bias": np.zeros(2)}
    >>> layer.forward(parameters, x, Context(training=True, buffers=running))[0].round(3)
    array([[0., 0.],
           [2., 2.]])

    Raises:
        ArgumentError: for a training batch of one sample, whose variance says nothing.
    """

    kind = "batch_norm"
    analytic = True

    n_features: int | None = None
    eps: float = 1e-5
    momentum: float = 0.1

    def check(self) -> None:
        if self.n_features is not None:
            checks.integer("n_features", self.n_features, at_least=1)
        checks.real("eps", self.eps, above=0.0)
        checks.real("momentum", self.momentum, at_least=0.0, at_most=1.0)

    def forward(self, parameters: Parameters, x: Array, context: Context) -> tuple[Array, Cache]:
        mean: Array | None = None
        variance: Array | None = None
        if context.training and self.trainable:
            n = len(x)
            if n == 1:
                raise ArgumentError(
                    "X",
                    given="one sample",
                    expected="at least 2 samples where the model has batch normalisation",
                    mend="one sample is its own mean: every feature would become 0; pass more samples",
                )
            mean = x.mean(axis=0)
            centred = x - mean
            biased = (centred * centred).mean(axis=0)
            variance = biased * (n / (n - 1))
        else:
            centred = x - context.buffers["running_mean"]
            biased = context.buffers["running_var"]
        inverse_deviation = 1 / np.sqrt(biased + self.eps)
        x_hat = centred * inverse_deviation
        y = parameters["weight"] * x_hat + parameters["bias"]
        return y, Cache(x_hat, inverse_deviation, mean, variance)

    def backward(self, parameters: Parameters, cache: Cache, dy: Array) -> tuple[Array, dict[str, Array]]:
        x_hat = cache.x_hat
        grads = {"weight": (dy * x_hat).sum(axis=0), "bias": dy.sum(axis=0)}
        scale = parameters["weight"] * cache.inverse_deviation
        if cache.mean is None:  # running statistics do not depend on x
            return scale * dy, grads
        n = len(dy)
        return scale * (dy - grads["bias"] / n - x_hat * (grads["weight"] / n)), grads

    def next_buffers(self, buffers: Parameters, cache: Cache) -> dict[str, Array]:
        if cache.mean is None or cache.variance is None:  # frozen
            return dict(buffers)
        old, new = 1 - self.momentum, self.momentum
        return {
            "running_mean": old * buffers["running_mean"] + new * cache.mean,
            "running_var": old * buffers["running_var"] + new * cache.variance,
        }

    def bind(self, n_in: int) -> Self:
        if self.n_features not in (None, n_in):
            raise ArgumentError(
                "layers",
                given=f"BatchNorm({self.n_features}) behind a layer of {n_in} outputs",
                expected="as many features as the layer before has outputs",
                mend=f"use BatchNorm() or BatchNorm({n_in})",
            )
        return replace(self, n_features=n_in)

    def in_features(self) -> int | None:
        return self.n_features

    def constants(self) -> tuple[float, ...]:
        return (self.eps, self.momentum)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self._width,), "bias": (self._width,)}

    def initial_parameters(self, rng: np.random.Generator, default: Initializer) -> dict[str, Array]:
        return {"weight": np.ones(self._width), "bias": np.zeros(self._width)}

    def initial_buffers(self) -> dict[str, Array]:
        return {"running_mean": np.zeros(self._width), "running_var": np.ones(self._width)}

    @property
    def _width(self) -> int:
        assert self.n_features is not None  # bind() has run: a model never holds an unbound layer
        return self.n_features
