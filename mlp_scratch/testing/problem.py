"""A whole training problem: network, loss, optimiser and a data set, that prints itself as Python."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentTypeError
from mlp_scratch.layers import Layer
from mlp_scratch.losses import Loss
from mlp_scratch.optimizers import Optimizer
from mlp_scratch.sequential import Sequential
from mlp_scratch.testing.failure import literal


@dataclass(frozen=True, repr=False)
class Problem:
    """A network, what it is trained with, and the samples.

    Attributes:
        layers: of the network.
        loss, optimizer: what it is trained with.
        X, y, sample_weight: the samples.
        dtype: of the network.
        seed: of its parameters, of data order and dropout.
        batch_size: samples a step; where it does not divide N, the last batch is short.
    """

    layers: list[Layer]
    loss: Loss
    optimizer: Optimizer
    X: Array
    y: Array
    sample_weight: Array | None = None
    dtype: str = "float64"
    seed: int = 0
    batch_size: int = 4

    def model(self, dtype: str | None = None) -> Sequential:
        """The network, at random parameters none of which is special: no bias is 0, no scale is 1."""
        model = Sequential(self.layers, dtype=dtype or self.dtype, seed=self.seed)
        rng = np.random.default_rng([self.seed, 1])
        for name, view in model.parameters.items():
            spread = 1 / np.sqrt(view.shape[-1]) if view.ndim == 2 else 0.5
            model.parameters[name] = rng.normal(0.1, spread, view.shape)
        return model

    def __repr__(self) -> str:
        weight = "None" if self.sample_weight is None else literal(self.sample_weight)
        return (
            f"Problem(layers={self.layers!r}, loss={self.loss!r}, optimizer={self.optimizer!r}, X={literal(self.X)}, "
            f"y={literal(self.y)}, sample_weight={weight}, dtype={self.dtype!r}, seed={self.seed}, "
            f"batch_size={self.batch_size})"
        )

    def code(self) -> str:
        """Lines of Python that make this problem as `problem`."""
        kinds = sorted({type(layer).__name__ for layer in self.layers})
        return (
            "import numpy as np\n"
            f"from mlp_scratch.layers import {', '.join(kinds)}\n"
            f"from mlp_scratch.losses import {type(self.loss).__name__}\n"
            f"from mlp_scratch.optimizers import {type(self.optimizer).__name__}\n"
            "from mlp_scratch.testing import Problem\n"
            f"problem = {self!r}\n"
        )


def as_problem(thing: object) -> Problem:
    """`thing`, if it is a problem."""
    if not isinstance(thing, Problem):
        expected = "a Problem or a strategy of them"
        raise ArgumentTypeError("problem", given=checks.describe(thing), expected=expected)
    return thing
