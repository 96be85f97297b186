"""`check_model`: every property of a whole network's gradient, on any backend."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from mlp_scratch.gradcheck import gradcheck
from mlp_scratch.layers import BatchNorm, Dropout
from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.layers import selected
from mlp_scratch.testing.network import Network
from mlp_scratch.testing.problem import Problem, as_problem
from mlp_scratch.testing.references import frameworks, reference_gradients
from mlp_scratch.testing.symmetries import bias_before_normalisation, hidden_permutation, relu_rescaling, softmax_shift


def derivative(network: Network) -> None:
    """The gradient check of this package: each parameter's derivative beside differences of the loss itself."""
    problem = network.problem
    report = gradcheck(
        network.model,
        problem.X,
        problem.y,
        loss=problem.loss,
        sample_weight=problem.sample_weight,
        backend=network.backend,
        method="central",
        seed=problem.seed,
    )
    if not report.max_error <= report.tolerance:
        raise network.error("derivative", "backward returns the derivative of the loss", {"worst": report.worst_entry})


def batch_permutation(network: Network) -> None:
    """The samples in another order: the same loss and gradients."""
    if any(isinstance(layer, Dropout) for layer in network.model.layers):
        return  # a mask belongs to a row of the batch, not to a sample
    order = np.roll(np.arange(len(network.problem.X)), 1)
    claim = "the order of the samples doesn't matter"
    network.hold("batch_permutation", claim, network.parameters(), network.loss_value, network.gradients, order)


def batch_additivity(network: Network) -> None:
    """The batch's loss and gradient are the weighted means of its samples'."""
    problem, n = network.problem, len(network.problem.X)
    coupled = (isinstance(layer, BatchNorm) and layer.trainable for layer in network.model.layers)
    if n < 2 or any(coupled) or any(isinstance(layer, Dropout) for layer in network.model.layers):
        return
    w = np.ones(n) if problem.sample_weight is None else problem.sample_weight
    shares = w / w.sum()
    one = np.ones(n)
    each = [network.evaluate(network.parameters(), slice(i, i + 1), weights=one) for i in range(n)]
    claim = "a batch is the weighted mean of its samples"
    total = float(sum(s * value for s, (value, _) in zip(shares, each, strict=True)))
    size = max(abs(value) for value, _ in each)
    network.compare("batch_additivity", claim, "the loss", np.asarray(network.loss_value), np.asarray(total), size)
    for name, gradient in network.gradients.items():
        expected = np.asarray(sum(s * grads[name] for s, (_, grads) in zip(shares, each, strict=True)))
        size = max(float(np.abs(grads[name]).max()) for _, grads in each)
        network.compare("batch_additivity", claim, name, gradient, expected, size)


def agreement(network: Network) -> None:
    """The loss and gradients of torch.autograd, jax.grad and HIPS autograd, those that are installed."""
    if any(isinstance(layer, Dropout) for layer in network.model.layers):
        return  # the masks are this package's own
    problem = network.problem
    y = problem.loss.prepare(problem.y, network.model.n_outputs, network.model.dtype)
    for name in frameworks():
        value, grads = reference_gradients(name, network.model, problem.loss, problem.X, y, problem.sample_weight)
        claim = f"agrees with {name}"
        network.compare("agreement", claim, "the loss", np.asarray(network.loss_value), np.asarray(value), abs(value))
        for parameter, gradient in network.gradients.items():
            size = float(np.abs(grads[parameter]).max())
            network.compare("agreement", claim, parameter, gradient, grads[parameter], size)


PROPERTIES: dict[str, Callable[[Network], None]] = {
    "derivative": derivative,
    "batch_permutation": batch_permutation,
    "batch_additivity": batch_additivity,
    "hidden_permutation": hidden_permutation,
    "relu_rescaling": relu_rescaling,
    "bias_before_normalisation": bias_before_normalisation,
    "softmax_shift": softmax_shift,
    "agreement": agreement,
}
"""The properties of a network by name."""


def check_model(
    problem: Any, *, backend: str = "numpy", only: Collection[str] | None = None, skip: Collection[str] = ()
) -> None:
    """Hold a network's loss and gradient to every property that correct ones have, in float64.

    Args:
        problem: a `Problem`, or a strategy of them: `strategies.problems()`.
        backend: whose gradient to look at.
        only: names of the properties to check; None checks all of `PROPERTIES`.
        skip: names of properties to leave out.

    Raises:
        PropertyError: for a property that does not hold.

    >>> from mlp_scratch import SGD, Dense, MSE, Tanh
    >>> layers = [Dense(2, 3), Tanh(), Dense(3, 1)]
    >>> check_model(Problem(layers, MSE(), SGD(), np.eye(2), np.array([0.0, 1.0])), skip=["agreement"])
    """
    names = selected(PROPERTIES, only, skip)

    def check(drawn: Problem) -> None:
        network = Network(as_problem(drawn), backend=backend)
        for name in names:
            PROPERTIES[name](network)

    at_each(problem, check, names)
