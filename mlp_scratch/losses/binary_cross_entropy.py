"""Cross-entropy of independent sigmoids, from logits: one label or many."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.functional import sigmoid, softplus
from mlp_scratch.losses.base import Loss, real_targets


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """ℓ = mean_k of -t log σ(z) - (1 - t) log(1 - σ(z)), so dℓ/dz = (σ(z) - t) / K.

    Written as t softplus(-z) + (1 - t) softplus(z), which holds for any logit. Targets are 0, 1 or probabilities
    between, (N, K), or (N,) for a model of one output; each output is a label of its own.

    >>> loss = BinaryCrossEntropy()
    >>> z, t = np.array([[0.0], [-1e4]]), np.array([[1.0], [1.0]])
    >>> loss.sample_values(z, t).round(4), loss.sample_gradients(z, t)
    (array([6.931e-01, 1.000e+04]), array([[-0.5],
           [-1. ]]))
    """

    kind = "binary_cross_entropy"
    analytic = True
    classifies = True

    def prepare(self, y: object, n_outputs: int, dtype: "np.dtype[np.floating]") -> Array:
        t = real_targets(y, n_outputs, dtype)
        wrong = (t < 0) | (t > 1)
        if wrong.any():
            where = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ArgumentError(
                "y",
                given=f"{t[where]:g} at position {where}",
                expected="labels 0 or 1, or probabilities between them",
                mend="for class numbers use cross_entropy with one output a class",
            )
        return t

    def sample_values(self, z: Array, t: Array) -> Array:
        return (t * softplus(-z) + (1 - t) * softplus(z)).mean(axis=1)

    def sample_gradients(self, z: Array, t: Array) -> Array:
        return (sigmoid(z) - t) / z.shape[1]

    def predictions(self, z: Array) -> Array:
        return (z > 0).astype(np.int64)

    def probabilities(self, z: Array) -> Array:
        return sigmoid(z)

    def accuracies(self, z: Array, t: Array) -> Array:
        return ((z > 0) == (t > 0.5)).mean(axis=1)
