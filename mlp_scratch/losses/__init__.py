"""The losses, from logits, and the table that names them."""

from mlp_scratch.losses.base import Loss as Loss
from mlp_scratch.losses.binary_cross_entropy import BinaryCrossEntropy as BinaryCrossEntropy
from mlp_scratch.losses.cross_entropy import CrossEntropy as CrossEntropy
from mlp_scratch.losses.regression import MAE as MAE
from mlp_scratch.losses.regression import MSE as MSE
from mlp_scratch.losses.regression import Huber as Huber
from mlp_scratch.losses.scalar import ScalarLoss as ScalarLoss

LOSSES: dict[str, Loss] = {row.kind: row for row in (MSE(), MAE(), Huber(), CrossEntropy(), BinaryCrossEntropy())}
"""The losses by the names that `fit(loss=...)` and the command line take, with their default constants."""


def default_loss(n_outputs: int) -> Loss:
    """What a model of so many outputs is taken to be for until it is told: a classifier, or with one a regression.

    >>> default_loss(10).kind, default_loss(1).kind
    ('cross_entropy', 'mse')
    """
    return LOSSES["cross_entropy" if n_outputs > 1 else "mse"]
