"""Property tests for gradients: of this package's layers, or of your own in NumPy, PyTorch or JAX.

    >>> import numpy as np
    >>> from mlp_scratch.testing import check_layer, strategies
    >>> class Cube:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x**3
    ...     def backward(self, dy):
    ...         return 3 * self.x**2 * dy
    >>> counts = check_layer(Cube(), strategies.batches(n_features=3))

`strategies` needs Hypothesis, which `pip install mlp-scratch[testing]` brings; the checks themselves don't.
"""

from typing import TYPE_CHECKING, Any

from mlp_scratch.errors import MissingDependencyError
from mlp_scratch.testing.adapters import from_engine as from_engine
from mlp_scratch.testing.adapters import from_jax as from_jax
from mlp_scratch.testing.adapters import from_object as from_object
from mlp_scratch.testing.adapters import from_torch as from_torch
from mlp_scratch.testing.backends import check_backend as check_backend
from mlp_scratch.testing.failure import PropertyError as PropertyError
from mlp_scratch.testing.function import Function as Function
from mlp_scratch.testing.layers import check_layer as check_layer
from mlp_scratch.testing.losses import check_loss as check_loss
from mlp_scratch.testing.models import check_model as check_model
from mlp_scratch.testing.noise import check_running_statistics as check_running_statistics
from mlp_scratch.testing.optimizers import check_optimizer as check_optimizer
from mlp_scratch.testing.problem import Problem as Problem

if TYPE_CHECKING:
    from mlp_scratch.testing import strategies as strategies


def __getattr__(name: str) -> Any:
    """`strategies`, imported at its first use: it is the only part that needs Hypothesis."""
    if name != "strategies":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from importlib import import_module

        return import_module("mlp_scratch.testing.strategies")
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise MissingDependencyError(
            "strategies: got no Hypothesis, expected it installed; pip install 'mlp-scratch[testing]'"
        ) from error
