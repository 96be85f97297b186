"""The fully connected layer."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.initializers import INITIALIZERS, Initializer
from mlp_scratch.layers.base import Context, Layer, Parameters


@dataclass(frozen=True)
class Dense(Layer):
    """y = x Wᵀ + b, with W (H, D) and b (H,), PyTorch's `nn.Linear`.

    Args:
        n_in: D, the number of inputs.
        n_out: H, the number of outputs.
        bias: whether there is a b.
        weight_init: an initialiser or its name; None takes the one that suits the activation behind the layer.
        bias_init: the same for b, "torch" for U(±1/√D); the rules of fan-in and fan-out are for weights alone. None
            takes zeros, but U(±1/√D) where the weight is drawn by PyTorch's rule.

    >>> layer = Dense(2, 3)
    >>> parameters = {"weight": np.ones((3, 2)), "bias": np.zeros(3)}
    >>> y, cache = layer.forward(parameters, np.array([[1.0, 2.0]]), Context())
    >>> y
    array([[3., 3., 3.]])
    >>> dx, grads = layer.backward(parameters, cache, np.ones((1, 3)))
    >>> dx, grads["bias"]
    (array([[3., 3.]]), array([1., 1., 1.]))
    """

    kind = "dense"
    analytic = True

    n_in: int
    n_out: int
    bias: bool = True
    weight_init: Initializer | str | None = None
    bias_init: Initializer | str | None = None

    def check(self) -> None:
        checks.integer("n_in", self.n_in, at_least=1)
        checks.integer("n_out", self.n_out, at_least=1)
        for argument in ("weight_init", "bias_init"):
            if (given := getattr(self, argument)) is not None:
                # Names become objects here, so that the rest of the package never sees a string.
                object.__setattr__(self, argument, checks.named(argument, given, INITIALIZERS, Initializer))
        if isinstance(self.bias_init, Initializer):
            self.bias_init.as_bias(self.n_in)  # refused here, and not when it is drawn

    def forward(self, parameters: Parameters, x: Array, context: Context) -> tuple[Array, Array]:
        y = x @ parameters["weight"].T
        return (y + parameters["bias"] if self.bias else y), x

    def backward(self, parameters: Parameters, cache: Array, dy: Array) -> tuple[Array, dict[str, Array]]:
        x = cache
        grads = {"weight": dy.T @ x}  # (H, N) (N, D): summed over the batch
        if self.bias:
            grads["bias"] = dy.sum(axis=0)
        return dy @ parameters["weight"], grads

    def bind(self, n_in: int) -> Self:
        if n_in != self.n_in:
            raise ArgumentError(
                "layers",
                given=f"Dense({self.n_in}, {self.n_out}) behind a layer of {n_in} outputs",
                expected="as many inputs as the layer before has outputs",
                mend=f"use Dense({n_in}, {self.n_out})",
            )
        return self

    def out_features(self, n_in: int) -> int:
        return self.n_out

    def in_features(self) -> int:
        return self.n_in

    def constants(self) -> tuple[float, ...]:
        return (float(self.bias),)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        weight: dict[str, tuple[int, ...]] = {"weight": (self.n_out, self.n_in)}
        return weight | {"bias": (self.n_out,)} if self.bias else weight

    def initial_parameters(self, rng: np.random.Generator, default: Initializer) -> dict[str, Array]:
        weight_init, bias_init = self.weight_init or default, self.bias_init
        assert isinstance(weight_init, Initializer)  # check() resolved the names
        drawn = {"weight": weight_init.draw(rng, (self.n_out, self.n_in))}
        if self.bias:
            assert not isinstance(bias_init, str)
            rule = bias_init.as_bias(self.n_in) if bias_init else weight_init.bias(self.n_in)
            drawn["bias"] = rule.draw(rng, (self.n_out,))
        return drawn
