"""A network at one batch, its loss and its gradients: what the properties of models look at."""

from collections.abc import Mapping

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.sequential import Sequential
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.failure import PropertyError
from mlp_scratch.testing.problem import Problem


class Network:
    """A problem's model, float64, with the loss and the gradients of all its samples as one batch.

    Attributes:
        problem: what it was made from.
        model: the model.
        backend: whose gradients are looked at.
        loss_value, gradients: what the backend computes, the latter by parameter name.
    """

    def __init__(self, problem: Problem, *, backend: str, flat: Array | None = None) -> None:
        self.problem, self.backend = problem, backend
        self.model: Sequential = problem.model("float64")
        if flat is not None:
            self.model.flat[...] = flat
        self.loss_value, self.gradients = self.evaluate(self.parameters())

    def parameters(self) -> dict[str, Array]:
        """A copy of the parameters, by name."""
        return {name: view.copy() for name, view in self.model.parameters.items()}

    def evaluate(
        self, parameters: Mapping[str, Array], rows: "Array | slice" = slice(None), *, weights: Array | None = None
    ) -> tuple[float, dict[str, Array]]:
        """Loss and gradients of the samples in `rows` at other parameters; the model itself is left as it is."""
        before = self.model.flat.copy()
        for name, array in parameters.items():
            self.model.parameters[name] = array
        problem = self.problem
        given = problem.sample_weight if weights is None else weights
        value, grads = self.model.loss_and_gradients(
            problem.X[rows],
            problem.y[rows],
            loss=problem.loss,
            sample_weight=None if given is None else given[rows],
            backend=self.backend,
        )
        self.model.flat[...] = before
        return value, {name: np.array(g) for name, g in grads.items()}

    def size(self, *names: str) -> float:
        """The largest magnitude among gradients, by name, before any sum over them cancels."""
        return tolerances.largest(*(self.gradients[name] for name in names if name in self.gradients))

    def hold(
        self,
        check: str,
        claim: str,
        parameters: Mapping[str, Array],
        loss: float,
        gradients: Mapping[str, Array],
        rows: "Array | slice" = slice(None),
    ) -> None:
        """Raise unless the network at other parameters, or on other rows, has this loss and these gradients."""
        value, actual = self.evaluate(parameters, rows)
        self.compare(check, claim, "the loss", np.asarray(value), np.asarray(loss), abs(loss))
        for name, expected in gradients.items():
            self.compare(check, claim, name, actual[name], expected, tolerances.largest(expected))

    def compare(self, check: str, claim: str, what: str, actual: Array, expected: Array, magnitude: float) -> None:
        """Raise unless two arrays agree within the rounding of a network's worth of sums."""
        allowed = tolerances.network(self.terms(), max(magnitude, self.floor()))
        where = tolerances.worst(actual, expected, allowed)
        if where is None:
            return
        place = f"{what}[{', '.join(map(str, where))}]" if where else what
        a, b = float(np.asarray(actual)[where]), float(np.asarray(expected)[where])
        raise self.error(check, claim, {"of": place, "got": a, "expected": b, "off by": abs(a - b), "allowed": allowed})

    def terms(self) -> int:
        """How many numbers the longest chain of sums adds."""
        return len(self.problem.X) + sum(placed.n_in for placed in self.model.placed)

    def floor(self) -> float:
        """The size of what any gradient is made of: below its rounding nothing is told apart."""
        return self.size(*self.gradients)

    def error(self, check: str, claim: str, facts: dict[str, object]) -> PropertyError:
        """The error for a violated property of this network."""
        code = (
            f"{self.problem.code()}from mlp_scratch.testing import check_model\n"
            f"check_model(problem, backend={self.backend!r}, only=[{check!r}])"
        )
        return PropertyError(check, claim, {"problem": repr(self.problem), **facts}, code)
