"""Cross-entropy of a softmax, from logits."""

from dataclasses import dataclass

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.functional import log_sum_exp, softmax
from mlp_scratch.losses.base import Loss, real_targets


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """ℓ = -Σ_c p_c log softmax(z)_c, so dℓ/dz = softmax(z) Σ_c p_c - p.

    Targets are class indices (N,), for which p is one-hot, or rows of probabilities (N, C). With label smoothing
    ε, p becomes (1 - ε) p + ε / C. Softmax and logarithm are taken together: logits of ±1e4 lose nothing.

    Args:
        label_smoothing: ε, 0 <= ε <= 1. C. Szegedy et al., CVPR 2016, arXiv:1512.00567.

    >>> loss = CrossEntropy()
    >>> z, t = np.array([[0.0, 0.0], [1e4, -1e4]]), np.array([0, 1])
    >>> loss.sample_values(z, t).round(4), loss.sample_gradients(z, t)
    (array([6.931e-01, 2.000e+04]), array([[-0.5,  0.5],
           [ 1. , -1. ]]))
    """

    kind = "cross_entropy"
    analytic = True
    classifies = True

    label_smoothing: float = 0.0

    def check(self) -> None:
        checks.real("label_smoothing", self.label_smoothing, at_least=0.0, at_most=1.0)

    def prepare(self, y: object, n_outputs: int, dtype: "np.dtype[np.floating]") -> Array:
        if n_outputs < 2:
            raise ArgumentError(
                "loss",
                given="cross_entropy on a model of one output",
                expected="a model of as many outputs as there are classes",
                mend="use binary_cross_entropy for one output",
            )
        mend = "number the classes with numpy.unique(y, return_inverse=True)[1]"
        array = checks.numeric("y", y, mend=mend, item="label")
        return _class_indices(array, n_outputs) if array.ndim == 1 else _probabilities(array, n_outputs, dtype)

    def sample_values(self, z: Array, t: Array) -> Array:
        p = self._smoothed(t, z)
        shifted = z - z.real.max(axis=1, keepdims=True)  # else what all logits share would round the difference away
        terms = log_sum_exp(shifted) - shifted
        return (p * np.where(p == 0, 0, terms)).sum(axis=1)  # 0 · ∞ is no loss

    def sample_gradients(self, z: Array, t: Array) -> Array:
        p = self._smoothed(t, z)
        return softmax(z) * p.sum(axis=1, keepdims=True) - p

    def predictions(self, z: Array) -> Array:
        return z.argmax(axis=1)

    def probabilities(self, z: Array) -> Array:
        return softmax(z)

    def accuracies(self, z: Array, t: Array) -> Array:
        return z.argmax(axis=1) == (t if t.ndim == 1 else t.argmax(axis=1))

    def constants(self) -> tuple[float, ...]:
        return (self.label_smoothing,)

    def _smoothed(self, t: Array, z: Array) -> Array:
        """P, (N, C), from class indices or probability rows."""
        c = z.shape[1]
        p = np.eye(c, dtype=z.real.dtype)[t] if t.ndim == 1 else t
        return (1 - self.label_smoothing) * p + self.label_smoothing / c if self.label_smoothing else p


def _class_indices(y: Array, n_classes: int) -> Array:
    if y.dtype.kind == "f":
        checks.none_missing("y", y.astype(float), "label")
        raise ArgumentTypeError(
            "y",
            given=f"labels of dtype {y.dtype}",
            expected="integer class indices, (N,), or probability rows, (N, C)",
            mend="convert whole-numbered labels with .astype(int); for real targets use loss='mse'",
        )
    if len(y) and (y.min() < 0 or y.max() >= n_classes):
        bad = int(y.min()) if y.min() < 0 else int(y.max())
        raise ArgumentError(
            "y",
            given=f"label {bad} at position {int(np.flatnonzero(y == bad)[0])}",
            expected=f"class indices from 0 to {n_classes - 1}, the model's {n_classes} outputs",
            mend="give the model one output a class, and number the classes from 0",
        )
    return y.astype(np.int64, copy=False)


def _probabilities(y: Array, n_classes: int, dtype: "np.dtype[np.floating]") -> Array:
    if y.shape[1:] == (1,):
        raise ArgumentError(
            "y",
            given=f"shape {y.shape}",
            expected=f"class indices, (N,), or probability rows, (N, {n_classes})",
            mend="use y.ravel() for a column of labels",
        )
    p = real_targets(y, n_classes, dtype)
    # A row of C rounded numbers can miss 1 by about C roundings of its own dtype.
    rounding = 8 * n_classes * max(np.finfo(dtype).eps, np.finfo(y.dtype).eps if y.dtype.kind == "f" else 0)
    wrong = (p.min(axis=1) < 0) | (np.abs(p.sum(axis=1) - 1) > rounding)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ArgumentError(
            "y",
            given=f"row {row} with smallest value {p[row].min():g} and sum {p[row].sum():g}",
            expected="rows of probabilities: none negative, each row summing to 1",
            mend="normalise the rows, or use binary_cross_entropy for several labels a sample",
        )
    return p
