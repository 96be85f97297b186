"""Whole training problems: any network, loss, optimiser and batch size."""

from dataclasses import replace

from hypothesis import strategies as st

from mlp_scratch.layers import BatchNorm, Dense, PReLU
from mlp_scratch.testing.problem import Problem
from mlp_scratch.testing.strategies.arrays import batches, cuts, dtypes, sample_weights
from mlp_scratch.testing.strategies.networks import architectures
from mlp_scratch.testing.strategies.training import losses, optimizers, targets


@st.composite
def problems(
    draw: st.DrawFn,
    *,
    max_depth: int = 3,
    max_width: int = 20,
    max_samples: int = 12,
    min_batch: int = 1,
    random_layers: bool = True,
    dtype: str | None = None,
) -> Problem:
    """A problem of any network, loss, optimiser and batch size; batches of one only where none is refused.

    In one of two problems each layer that learns is frozen or not.

    Args:
        draw: given by Hypothesis.
        max_depth: the largest number of hidden dense layers.
        max_width: the largest width.
        max_samples: the largest N.
        min_batch: the smallest batch, also the last one of an epoch.
        random_layers: whether there may be dropout.
        dtype: of the network; None draws it.
    """
    layers = draw(architectures(max_depth=max_depth, max_width=max_width, random_layers=random_layers))
    learning = [i for i, layer in enumerate(layers) if isinstance(layer, Dense | BatchNorm | PReLU)]
    for i in learning if draw(st.booleans()) else ():
        layers[i] = replace(layers[i], trainable=not draw(st.booleans()))
    n_outputs = layers[-1].out_features(0)  # the last one is dense
    loss = draw(losses(n_outputs))
    normalised = any(isinstance(layer, BatchNorm) and layer.trainable for layer in layers)
    n, size = draw(cuts(max_samples, min_batch=max(min_batch, 2 if normalised else 1)))
    X = draw(batches(layers[0].in_features() or 1, min_size=n, max_size=n))
    return Problem(
        layers,
        loss,
        draw(optimizers()),
        X,
        draw(targets(loss, n, n_outputs)),
        draw(sample_weights(n)),
        dtype or draw(dtypes()),
        draw(st.integers(0, 99)),
        size,
    )
