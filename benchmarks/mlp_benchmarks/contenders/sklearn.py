"""scikit-learn's `MLPClassifier`, one `partial_fit` a mini-batch.

Choices: no L2 penalty (alpha=0) and no momentum, since the others have none; no shuffling, since the batch comes
shuffled; finiteness and parameter checks off (`assume_finite`, `skip_parameter_validation`), which its documentation
offers for speed. Float32 in, float32 throughout. `fit` on many samples would save checks and label encoding at each
batch, but it draws its own order and reports one loss an epoch, so what it did could not be compared.

Its Adam adds eps as Keras' does. The loss that it reports, though not its gradient, takes no probability for less
than float32's spacing 2⁻²³: it is held to a reference with that cut. Its regressor knows squared and Poisson loss
only, so it is skipped for the others.
"""

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.neural_network import MLPClassifier

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray
from mlp_scratch.optimizers import Adam


class Sklearn:
    """The classifier, with injected weights."""

    def __init__(self, work: Work) -> None:
        if work.case.loss != "cross_entropy":
            raise UnsuitableError(f"has no {work.case.loss} loss")
        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        rule, (_, *hidden, n_classes) = work.rule, work.case.widths
        adam = {"beta_1": rule.beta1, "beta_2": rule.beta2, "epsilon": rule.eps} if isinstance(rule, Adam) else {}
        self._model = MLPClassifier(
            hidden,
            activation="relu",
            solver=work.optimizer,
            learning_rate_init=rule.lr,
            batch_size=work.case.batch,
            alpha=0.0,
            shuffle=False,
            momentum=0.0,
            nesterovs_momentum=False,
            **adam,
        )
        self._X, self._y, self._layers = work.X, work.y, work.layers
        # The first call makes the arrays of weights and settles the classes; reset then fills the arrays.
        batch = work.order[0]
        self._model.partial_fit(self._X[batch], self._y[batch], classes=np.arange(n_classes))
        self.reset()

    def reset(self) -> None:
        model = self._model
        for (weight, bias), coefs, intercepts in zip(self._layers, model.coefs_, model.intercepts_, strict=True):
            coefs[...] = weight.T  # (D, H)
            intercepts[...] = bias
        # There is no public way to make the optimiser forget; without one, partial_fit makes a new one.
        vars(model).pop("_optimizer", None)

    def prepare(self, rows: IntArray) -> IntArray:
        return rows

    def run(self, batches: IntArray) -> list[float]:
        X, y, model = self._X, self._y, self._model
        losses = []
        for rows in batches:
            model.partial_fit(X[rows], y[rows])
            losses.append(model.loss_)
        return losses

    def evidence(self, outcome: list[float]) -> npt.NDArray[np.float64]:
        return np.array(outcome, dtype=np.float64)
