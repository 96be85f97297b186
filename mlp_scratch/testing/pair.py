"""Two backends at one problem: what `check_backend` looks at, and how far apart they may be."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.backends import Backend, Plan, Records, Samples, State, Stop, get_backend
from mlp_scratch.errors import DivergedError
from mlp_scratch.program import Program, lower
from mlp_scratch.samples import prepare
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.close_calls import CloseCalls
from mlp_scratch.testing.failure import PropertyError
from mlp_scratch.testing.problem import Problem

EPOCHS = 3
"""How long two backends train side by side."""

ROUNDINGS = 64
"""Two backends may drift apart by so many times what a single rounding at the start leads to: each step rounds anew."""

NEARBY = 8
"""Paths from parameters one rounding away that say how much a problem amplifies rounding. Where a number is 0 but for
rounding, and a kink or a label hangs on its sign, half of them go one way."""

Path = tuple[State, Records, int, DivergedError | None]
"""A state after training, what was recorded, how many steps were taken, and how it ended."""


@dataclass(frozen=True)
class Pair:
    """Two backends at one problem.

    Attributes:
        problem: what they work on.
        backend: the one that is checked.
        reference: the one it is held to.
    """

    problem: Problem
    backend: Backend
    reference: Backend

    def program(self) -> Program:
        """The problem's network, loss and optimiser, lowered."""
        return lower(self.problem.model(), self.problem.loss, self.problem.optimizer)

    def state(self) -> State:
        """A fresh state."""
        model = self.problem.model()
        slots = np.zeros((len(self.problem.optimizer.slots), model.n_parameters), model.dtype)
        return State(model.flat, model.buffer_vector, slots)

    def samples(self) -> Samples:
        """The problem's samples, as `fit` hands them on."""
        problem = self.problem
        return prepare(problem.model(), problem.loss, problem.X, problem.y, problem.sample_weight)

    def plan(self) -> Plan:
        """Three epochs of shuffled batches, the last of each perhaps short."""
        n, size = len(self.problem.X), self.problem.batch_size
        lr = np.full(EPOCHS * -(-n // size), self.problem.optimizer.lr)
        return Plan(np.arange(n), size, lr, self.problem.seed, shuffle=True)

    def train(
        self,
        backend: Backend,
        stop: Stop = lambda: False,
        *,
        state: State | None = None,
        program: Program | None = None,
    ) -> Path:
        """The path of the plan, from a fresh state or another, of the problem's program or another."""
        state, plan = state or self.state(), self.plan()
        records = Records(np.full(len(plan.lr), np.nan), np.full(len(plan.lr), np.nan))
        try:
            taken = backend.train(program or self.program(), state, self.samples(), plan, records, stop)
        except DivergedError as error:
            return state, records, state.step, error
        return state, records, taken, None

    def nearby(self) -> Iterator[State]:
        """States whose parameters are off by one rounding each, up or down at random."""
        for k in range(NEARBY):
            state = self.state()
            signs = np.random.default_rng(k).choice([-1.0, 1.0], state.flat.shape)
            state.flat *= (1 + signs * np.finfo(state.flat.dtype).eps).astype(state.flat.dtype)
            yield state

    def wider(self) -> list["Pair"]:
        """The same in float64, if this is float32: how far the reference's own rounding has led it."""
        if self.problem.dtype == "float64":
            return []
        return [replace(self, problem=replace(self.problem, dtype="float64"))]

    def close_calls(self) -> Iterator[Array]:
        """The accuracies of the specification's path, had its logits been rounded differently."""
        program = self.program()
        for k in range(NEARBY):
            shaken = replace(program, loss=CloseCalls(program.loss, ROUNDINGS, np.random.default_rng(k)))
            yield self.train(get_backend("numpy"), program=shaken)[1].accuracies

    def compare(
        self,
        check: str,
        claim: str,
        what: str,
        actual: Array,
        expected: Array,
        steps: int,
        nearby: Callable[[], Iterable[Array]] = tuple,
    ) -> None:
        """Raise unless two arrays agree within what so many steps may differ by.

        Where they don't, `nearby` has the last word: what the reference makes of parameters one rounding away, or of
        no rounding at all. A problem that amplifies rounding more than others may be off by more.
        """
        wide = np.asarray(expected, dtype=np.float64)
        size = max(tolerances.largest(wide[np.isfinite(wide)]), tolerances.largest(self.state().flat))
        allowed = tolerances.trajectory(self.problem.dtype, size, steps)
        both_nan = np.isnan(wide) & np.isnan(actual)  # the accuracy of a regression
        ours, theirs = np.where(both_nan, 0, actual), np.where(both_nan, 0, wide)
        if tolerances.worst(ours, theirs, allowed) is None:
            return
        differences = (np.subtract(array, wide, dtype=np.float64) for array in nearby())
        allowed += ROUNDINGS * tolerances.largest(*differences)
        where = tolerances.worst(ours, theirs, allowed)
        if where is None:
            return
        a, b = float(np.asarray(actual)[where]), float(wide[where])
        names = (self.backend.name, f"{self.reference.name}, the reference")
        raise self.error(
            check,
            claim,
            {"of": f"{what}{list(where)}", names[0]: a, names[1]: b, "off by": abs(a - b), "allowed": allowed},
        )

    def error(self, check: str, claim: str, facts: dict[str, object]) -> PropertyError:
        """The error for a violated property."""
        code = (
            f"{self.problem.code()}from mlp_scratch.testing import check_backend\n"
            f"check_backend({self.backend.name!r}, problem, reference={self.reference.name!r}, only=[{check!r}])"
        )
        return PropertyError(check, claim, {"problem": repr(self.problem), **facts}, code)
