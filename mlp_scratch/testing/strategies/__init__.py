"""Hypothesis strategies for everything that trains: batches, layers, networks, losses with targets, optimisers.

They construct valid values and never filter, so next to no example is discarded, and they shrink to the smallest
network, batch and numbers that still fail. What they draw shows itself as Python that can be pasted.

    >>> from mlp_scratch.testing import strategies
    >>> strategies.batches(n_features=5)
    batches(n_features=5)
"""

from mlp_scratch.testing.strategies.arrays import batches as batches
from mlp_scratch.testing.strategies.arrays import cuts as cuts
from mlp_scratch.testing.strategies.arrays import dtypes as dtypes
from mlp_scratch.testing.strategies.arrays import layouts as layouts
from mlp_scratch.testing.strategies.arrays import sample_weights as sample_weights
from mlp_scratch.testing.strategies.networks import activations as activations
from mlp_scratch.testing.strategies.networks import architectures as architectures
from mlp_scratch.testing.strategies.networks import initializers as initializers
from mlp_scratch.testing.strategies.networks import layers as layers
from mlp_scratch.testing.strategies.networks import widths as widths
from mlp_scratch.testing.strategies.problems import problems as problems
from mlp_scratch.testing.strategies.training import losses as losses
from mlp_scratch.testing.strategies.training import optimizers as optimizers
from mlp_scratch.testing.strategies.training import targets as targets
