"""Symmetries of whole networks: changes of the parameters that change no output, and what they do to the gradient.

A gradient that respects them all is right in ways that differences can't see: these hold exactly, to rounding.
"""

from itertools import pairwise

import numpy as np

from mlp_scratch.layers import Activation, BatchNorm, Dense, LeakyReLU, PReLU, ReLU
from mlp_scratch.losses import CrossEntropy
from mlp_scratch.testing.network import Network


def hidden_permutation(network: Network) -> None:
    """The hidden units between two dense layers in another order: the same loss, the gradient in that order."""
    for first, second in _neighbours(network):
        order = np.roll(np.arange(network.model.layers[first].out_features(0)), 1)
        moved = network.parameters()
        grads = network.gradients
        expected = {name: g.copy() for name, g in grads.items()}
        for index in range(first, second):  # the first one's rows, and all that lies between, per feature
            for name in (f"{index}.weight", f"{index}.bias"):
                if name in moved and len(moved[name]) == len(order):
                    moved[name], expected[name] = moved[name][order], grads[name][order]
        name = f"{second}.weight"
        moved[name], expected[name] = moved[name][:, order], grads[name][:, order]
        claim = f"the order of the hidden units between layers {first} and {second} doesn't matter"
        network.hold("hidden_permutation", claim, moved, network.loss_value, expected)


def relu_rescaling(network: Network) -> None:
    """ReLU is positively homogeneous: a hidden unit's inputs times a and its outputs over a change nothing.

    Its incoming gradients are then over a, and its outgoing ones times a.
    """
    for first, second in _neighbours(network):
        between = network.model.layers[first + 1 : second]
        if not all(isinstance(layer, ReLU | LeakyReLU | PReLU) for layer in between):
            continue
        a = 2.0 ** (np.arange(network.model.layers[first].out_features(0)) % 5 - 2)  # powers of 2: no rounding
        moved = network.parameters()
        expected = {name: g.copy() for name, g in network.gradients.items()}
        moved[f"{first}.weight"] *= a[:, np.newaxis]
        expected[f"{first}.weight"] /= a[:, np.newaxis]
        if f"{first}.bias" in moved:
            moved[f"{first}.bias"] *= a
            expected[f"{first}.bias"] /= a
        moved[f"{second}.weight"] /= a
        expected[f"{second}.weight"] *= a
        claim = (
            f"scaling the units of layer {first} by a, and what layer {second} makes of them by 1/a, changes nothing"
        )
        network.hold("relu_rescaling", claim, moved, network.loss_value, expected)


def bias_before_normalisation(network: Network) -> None:
    """Batch normalisation takes out the mean: the bias of a dense layer right before it has the gradient 0."""
    for index, (layer, following) in enumerate(pairwise(network.model.layers)):
        name = f"{index}.bias"
        normalised = isinstance(following, BatchNorm) and following.trainable  # a frozen one knows no batch's mean
        if isinstance(layer, Dense) and normalised and name in network.gradients:
            claim = "a bias in front of batch normalisation has no effect"
            # What cancels is what the normalised features pass back.
            size = network.size(f"{index}.weight", name, f"{index + 1}.weight", f"{index + 1}.bias")
            network.compare(
                "bias_before_normalisation", claim, name, network.gradients[name], np.zeros(layer.n_out), size
            )


def softmax_shift(network: Network) -> None:
    """Cross-entropy doesn't see a shift of all logits: the last layer's gradients sum to 0 over the classes."""
    if not isinstance(network.problem.loss, CrossEntropy):
        return
    last = len(network.model.layers) - 1
    for name in (f"{last}.weight", f"{last}.bias"):
        if name in network.gradients:
            sums = np.asarray(network.gradients[name].sum(axis=0))
            claim = "the logits' gradients sum to 0 over the classes"
            network.compare("softmax_shift", claim, name, sums, np.zeros_like(sums), network.size(name))


def _neighbours(network: Network) -> list[tuple[int, int]]:
    """Pairs of dense layers with nothing but elementwise layers, PReLU and batch normalisation between them.

    Dropout is not among these: its mask belongs to the place of a unit, not to the unit.
    """
    layers = network.model.layers
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    symmetric = (Activation, PReLU, BatchNorm)
    return [(i, j) for i, j in pairwise(dense) if all(isinstance(layer, symmetric) for layer in layers[i + 1 : j])]
