"""From what users pass to what backends take: data checked, features not copied but for a fraction held out."""

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import IntArray
from mlp_scratch.backends import Samples
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import BatchNorm
from mlp_scratch.losses import Loss
from mlp_scratch.model import Model
from mlp_scratch.random import permutation

VALIDATION_EPOCH = 2**32 - 1
"""The epoch whose order a validation fraction is cut from: one that training never reaches."""


def prepare(model: Model, loss: Loss, X: object, y: object, sample_weight: object) -> Samples:
    """`X`, `y` and the weights, checked against the model and the loss; the data are not copied.

    Raises:
        ArgumentError: for wrong shapes, lengths that differ, NaN or infinity, targets that the loss can't take.
        ArgumentTypeError: for dtypes that are not numbers.
    """
    data = checks.features("X", X, n_features=model.n_inputs)
    targets = loss.prepare(y, model.n_outputs, model.dtype)
    _same_length("y", len(targets), len(data))
    checks.finite("X", data, model.dtype)
    if sample_weight is None:
        return Samples(data, targets)
    weights = checks.numeric("sample_weight", sample_weight)
    if weights.ndim != 1:
        raise ArgumentError("sample_weight", given=f"shape {weights.shape}", expected="one weight a sample, (N,)")
    _same_length("sample_weight", len(weights), len(data))
    checks.finite("sample_weight", weights, model.dtype)
    if weights.min() < 0 or not weights.any():
        raise ArgumentError(
            "sample_weight",
            given="only zeros" if weights.min() >= 0 else f"{weights.min()} at position {int(weights.argmin())}",
            expected="weights that are not negative, at least one of them above 0",
        )
    kept = weights.astype(model.dtype)
    if not kept.any():
        raise ArgumentError(
            "sample_weight",
            given=f"none above {weights.max():g}, which is 0 in {model.dtype}",
            expected="at least one that is not",
            mend="multiply all by the same number: only their ratios count",
        )
    return Samples(data, targets, kept)


def hold_out(
    model: Model, loss: Loss, samples: Samples, validation: tuple[object, object] | float | None, seed: int
) -> tuple[IntArray, Samples | None]:
    """The rows to train on and the samples to validate on: none, a given pair, or a fraction drawn by `seed`."""
    n = len(samples.X)
    everything = np.arange(n)
    if validation is None:
        return everything, None
    if isinstance(validation, tuple | list):
        if len(validation) != 2:
            raise ArgumentError("validation", given=f"{len(validation)} arrays", expected="a pair (X, y) or a fraction")
        try:
            return everything, prepare(model, loss, validation[0], validation[1], None)
        except ArgumentError as error:
            raise type(error)(
                f"validation {error.argument}", given=error.given, expected=error.expected, mend=error.mend
            ) from None
    fraction = checks.real("validation", validation, above=0.0, below=1.0, mend="or pass a pair (X_val, y_val)")
    size = round(fraction * n)
    if not 0 < size < n:
        raise ArgumentError(
            "validation",
            given=f"{fraction}, {size} of {n} samples",
            expected="a fraction that leaves samples on both sides",
        )
    order = permutation(seed, VALIDATION_EPOCH, n)
    rows, held_out = np.sort(order[size:]), np.sort(order[:size])
    if samples.weights is not None and not (samples.weights[rows].any() and samples.weights[held_out].any()):
        raise ArgumentError(
            "validation",
            given=f"{fraction}, which leaves one side with samples of weight 0 alone",
            expected="weights above 0 on both sides",
            mend="leave out samples of weight 0, or pass a pair (X_val, y_val)",
        )
    return rows, samples.batch(held_out, samples.X.dtype)


def normalises_batches(model: Model) -> bool:
    """Whether a training step needs the statistics of its batch, which one sample has not."""
    return any(isinstance(layer, BatchNorm) and layer.trainable for layer in model.layers)


def refuse_batches_of_one(model: Model, n_samples: int, batch_size: int) -> None:
    """Batch normalisation can't train on one sample: say so before the first step, not in the middle of an epoch."""
    alone = batch_size == 1 or n_samples % batch_size == 1
    if alone and normalises_batches(model):
        raise ArgumentError(
            "batch_size",
            given=f"{batch_size}, which cuts {n_samples} samples so that a batch has one sample",
            expected="batches of at least 2 samples where the model has batch normalisation",
            mend="one sample is its own mean: every feature would become 0; choose another batch_size",
        )


def _same_length(argument: str, given: int, samples: int) -> None:
    if given != samples:
        raise ArgumentError(argument, given=f"length {given}", expected=f"as many as X has samples, {samples}")


def is_flat(y: object) -> bool:
    """Whether targets are (N,), so that predictions should be too."""
    return checks.numeric("y", y).ndim == 1
