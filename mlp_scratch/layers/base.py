"""What a layer is: a frozen record of its shape and constants, with `forward` beside `backward`.

A layer owns no arrays. Parameters, running statistics and the cache are passed in and handed back, so a layer can
be called by a test, a training loop or a gradient check alike, and nothing has to be reset between calls:

    y, cache  = layer.forward(parameters, x, context)      x (N, D), y (N, H)
    dx, grads = layer.backward(parameters, cache, dy)      dy (N, H), dx (N, D)

`dx` is the gradient of the loss with respect to `x`, and `grads` maps each parameter's name to its gradient. Both
are computed anew at each call: `backward` returns and never accumulates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.initializers import Glorot, Initializer
from mlp_scratch.record import Record

Parameters = Mapping[str, Array]


@dataclass(frozen=True)
class Context:
    """What a forward pass depends on besides parameters and input.

    Attributes:
        training: whether dropout drops and batch normalisation uses the batch's own statistics.
        seed, step, layer: the key of this layer's random numbers; `layer` is its position in the model.
        buffers: what the layer remembers between steps but does not learn, by name (running statistics).
    """

    training: bool = False
    seed: int = 0
    step: int = 0
    layer: int = 0
    buffers: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class Layer(Record):
    """Base class of all layers; a new one overrides `forward` and `backward` and whatever else it has.

    Args:
        trainable: whether `fit` changes the parameters and buffers, False for a frozen layer; see `Model.freeze`.
            Where a layer has neither it means nothing.
    """

    trainable: bool = field(default=True, kw_only=True)

    kind: ClassVar[str]
    """The layer's name in the tables, in model files and in messages."""

    analytic: ClassVar[bool] = False
    """Whether `forward` is analytic in x and the parameters, so that a complex step through it is exact.

    A class has to say so itself: what it inherits from may be, and a complex step would then take a formula with
    `np.abs` in it for another function, without a word.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.analytic = vars(cls).get("analytic", False)

    def forward(self, parameters: Parameters, x: Array, context: Context) -> tuple[Array, Any]:
        """Compute y, (N, H), and the cache that `backward` needs."""
        raise NotImplementedError

    def backward(self, parameters: Parameters, cache: Any, dy: Array) -> tuple[Array, dict[str, Array]]:
        """Compute dx, (N, D), and the gradient of each parameter."""
        raise NotImplementedError

    def pieces(self, parameters: Parameters, x: Array) -> Array | None:
        """Which smooth piece of the function each element of `x` lies on; None where it is smooth throughout.

        A finite difference is only meaningful when both of its ends lie on the same piece.
        """
        return None

    def bind(self, n_in: int) -> Self:
        """The layer with its width filled in from the layer before; raises `ArgumentError` on a mismatch."""
        return self

    def out_features(self, n_in: int) -> int:
        """H, given D."""
        return n_in

    def in_features(self) -> int | None:
        """D where the layer itself states it, else None."""
        return None

    def initializer(self) -> Initializer | None:
        """The initialiser that suits the weights before this layer; None where it has no say."""
        return None

    def constants(self) -> tuple[float, ...]:
        """The numbers, besides its kind and widths, that a compiled backend needs."""
        return ()

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each parameter, in the order in which they lie in the flat vector."""
        return {}

    def initial_parameters(self, rng: np.random.Generator, default: Initializer) -> dict[str, Array]:
        """Draw the parameters, float64; `default` draws a weight whose initialiser the layer leaves open."""
        return {}

    def initial_buffers(self) -> dict[str, Array]:
        """What the layer remembers before the first step, float64."""
        return {}

    def next_buffers(self, buffers: Parameters, cache: Any) -> dict[str, Array]:
        """What it remembers after a training step whose forward pass left `cache`; not asked while it is frozen.

        A buffer that is left out stays as it is.
        """
        return {}


@dataclass(frozen=True)
class Activation(Layer):
    """A layer that maps each element on its own: y = f(x), so dx = dy · f'(x)."""

    def function(self, x: Array) -> Array:
        """f(x), elementwise."""
        raise NotImplementedError

    def derivative(self, x: Array) -> Array:
        """f'(x), elementwise; at a kink, PyTorch's choice of subgradient."""
        raise NotImplementedError

    def initializer(self) -> Initializer:
        return Glorot()

    def forward(self, parameters: Parameters, x: Array, context: Context) -> tuple[Array, Array]:
        return self.function(x), x

    def backward(self, parameters: Parameters, cache: Array, dy: Array) -> tuple[Array, dict[str, Array]]:
        return dy * self.derivative(cache), {}
