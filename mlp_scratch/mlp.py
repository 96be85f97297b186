"""`MLP`: a `Sequential` from a list of widths."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mlp_scratch import checks
from mlp_scratch.errors import ArgumentError
from mlp_scratch.initializers import Initializer
from mlp_scratch.layers import ACTIVATIONS, BatchNorm, Dense, Dropout, Layer
from mlp_scratch.sequential import Sequential


class MLP(Sequential):
    """A multi-layer perceptron from its widths: Dense, [BatchNorm], activation, [Dropout] for each hidden layer.

    Args:
        widths: inputs, hidden layers, outputs; [784, 10] has no hidden layer.
        activation: an activation or its name, of all hidden layers.
        dropout: the probability of dropping each hidden activation.
        batch_norm: whether to normalise before each activation.
        weight_init: an initialiser or its name, of all layers; None takes the one that suits the activation.
        bias_init: the same for biases, "torch" for U(-1/√D, 1/√D); rules of fan-in and fan-out are for weights alone.
            None takes zeros, but U(-1/√D, 1/√D) where weights are drawn by PyTorch's rule.
        dtype: "float32" or "float64".
        seed: as for `Sequential`.

    >>> MLP([784, 256, 10], activation="relu", dropout=0.2, batch_norm=True).parameters
    {'0.weight': (256, 784), '0.bias': (256,), '1.weight': (256,), '1.bias': (256,),
     '4.weight': (10, 256), '4.bias': (10,)}
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: Layer | str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = False,
        weight_init: Initializer | str | None = None,
        bias_init: Initializer | str | None = None,
        dtype: object = "float32",
        seed: int = 0,
    ) -> None:
        if not isinstance(widths, Sequence | np.ndarray) or isinstance(widths, str) or len(widths) < 2:
            raise ArgumentError(
                "widths",
                given=checks.describe(widths),
                expected="a list of at least two widths, inputs first and outputs last",
                mend="try [64, 32, 10]",
            )
        sizes = [checks.integer("widths", width, at_least=1) for width in widths]
        chosen = checks.named("activation", activation, ACTIVATIONS, Layer)
        drop = Dropout(dropout) if checks.real("dropout", dropout, at_least=0.0, below=1.0) > 0 else None
        normalise = checks.boolean("batch_norm", batch_norm)
        layers: list[Layer] = []
        for n_in, n_out in pairwise(sizes[:-1]):
            layers.append(Dense(n_in, n_out, weight_init=weight_init, bias_init=bias_init))
            layers += [BatchNorm()] if normalise else []
            layers.append(chosen)
            layers += [drop] if drop else []
        layers.append(Dense(sizes[-2], sizes[-1], weight_init=weight_init, bias_init=bias_init))
        super().__init__(layers, dtype=dtype, seed=seed)
