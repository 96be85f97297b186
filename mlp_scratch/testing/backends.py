"""`check_backend`: whether a backend computes what the specification computes, and keeps its contract."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import count
from typing import Any

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.backends import Backend, Records, State, Stop, get_backend
from mlp_scratch.errors import DivergedError
from mlp_scratch.layers import Dense
from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.layers import selected
from mlp_scratch.testing.pair import Pair, Path
from mlp_scratch.testing.problem import Problem, as_problem


def same_logits(pair: Pair) -> None:
    """Inference gives the reference's logits, in the model's dtype, for X in any memory layout and dtype."""
    program, state, X = pair.program(), pair.state(), pair.problem.X
    read_only = X.astype(np.float32)
    read_only.flags.writeable = False
    variants = {
        "as given": X,
        "F order": np.asfortranarray(X),
        "reversed": np.flip(np.flip(X).copy()),
        "read-only float32": read_only,
    }
    for description, x in variants.items():
        z = pair.backend.logits(program, state, x)
        expected = pair.reference.logits(program, state, np.array(x, dtype=np.float64, order="C"))
        claim = f"logits are the reference's, X {description}"
        if z.dtype != program.dtype:
            raise pair.error("same_logits", "logits have the model's dtype", {"dtype": z.dtype})
        pair.compare("same_logits", claim, "logits", z, expected, 1)


def same_gradient(pair: Pair) -> None:
    """The reference's loss and gradient, in training and in inference mode, and nothing is changed."""
    for training in (True, False):
        state = pair.state()
        before = [a.copy() for a in (state.flat, state.buffers, state.slots)]

        def evaluate(backend: Backend, one: Pair, state: State, training: bool = training) -> tuple[float, Array]:
            program, samples = one.program(), one.samples()
            return backend.loss_and_gradient(program, state, samples, seed=pair.problem.seed, step=5, training=training)

        def nearby(evaluate: Callable[..., tuple[float, Array]] = evaluate) -> list[tuple[float, Array]]:
            states = [*((pair, state) for state in pair.nearby()), *((one, one.state()) for one in pair.wider())]
            return [evaluate(pair.reference, *each) for each in states]

        loss, g = evaluate(pair.backend, pair, state)
        loss_expected, g_expected = evaluate(pair.reference, pair, pair.state())
        near = cache(nearby)
        claim = f"loss and gradient are the reference's, training={training}"
        for what, ours, theirs, others in (
            ("loss", np.atleast_1d(loss), np.atleast_1d(loss_expected), lambda near=near: (v for v, _ in near())),
            ("gradient", g, g_expected, lambda near=near: (gradient for _, gradient in near())),
        ):
            pair.compare("same_gradient", claim, what, ours, theirs, 1, others)
        after = (state.flat, state.buffers, state.slots)
        if state.step != 0 or not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
            raise pair.error("same_gradient", "loss_and_gradient changes nothing", {})


def same_training(pair: Pair) -> None:
    """The same path: parameters, buffers and slots after three epochs, and the losses and accuracies on the way.

    Training that explodes multiplies rounding at every step. How much it does is measured, by the reference's own paths
    from parameters one rounding away; where one of those ends at another step, so may the backend. Of float32 its path
    in float64 counts, too: rounding of later steps can grow more than that of the first. An accuracy may also differ
    where logits one rounding away are told apart differently.
    """
    ours, theirs = pair.train(pair.backend), pair.train(pair.reference)
    near = cache(lambda: [pair.train(pair.reference, state=state) for state in pair.nearby()])

    def end(path: Path) -> tuple[int, bool]:
        return path[2], path[3] is None

    taken, error = ours[2:]
    if end(ours) != end(theirs) or ours[0].step != theirs[0].step:
        if any(end(path) != end(theirs) for path in near()):
            return
        facts: dict[str, object] = {"steps taken": taken, "ended with": error}
        facts |= {"the reference": theirs[2], "its end": theirs[3]}
        raise pair.error("same_training", "as many steps are taken", facts)

    @cache
    def comparable() -> list[Path]:
        """Paths of as many steps."""
        wider = [one.train(pair.reference, stop=after(taken)) for one in pair.wider()]
        return [path for path in near() if end(path) == end(theirs)] + wider

    def array(path: Path, what: str) -> Array:
        state, records, *_ = path
        values: Array = getattr(state if what in ("flat", "buffers", "slots") else records, what)
        return values if values is getattr(state, what, None) else values[:taken]

    def others(what: str) -> Iterator[Array]:
        yield from (array(path, what) for path in comparable())
        if what == "accuracies":
            yield from (accuracies[:taken] for accuracies in pair.close_calls())

    for what in ("losses", "accuracies", "flat", "buffers", "slots"):
        claim, values = "training follows the reference's path", (array(ours, what), array(theirs, what))
        pair.compare("same_training", claim, what, *values, taken, partial(others, what))


def after(steps: int) -> Stop:
    """A `stop` that a backend which asks before each step takes so many steps under."""
    asked = count()
    return lambda: next(asked) >= steps


def deterministic(pair: Pair) -> None:
    """The same bits twice, and with one thread what there is with several."""
    several = pair.train(pair.backend)[0]
    for claim, backend in (
        ("training twice gives the same bits", pair.backend),
        ("the number of threads changes no bit", get_backend(pair.backend.name, threads=1)),
    ):
        again = pair.train(backend)[0]
        for what in ("flat", "buffers", "slots"):
            if not np.array_equal(getattr(several, what), getattr(again, what), equal_nan=True):
                raise pair.error("deterministic", claim, {"of": what})


def stops(pair: Pair) -> None:
    """Once `stop` says so no further step is taken, and the state is that of the last whole one."""
    state, _, taken, error = pair.train(pair.backend, stop=after(1))
    if error is None and taken != state.step:
        raise pair.error("stops", "train returns how many steps it took", {"returned": taken, "state.step": state.step})
    state, _, taken, _ = pair.train(pair.backend, stop=lambda: True)
    fresh = pair.state()
    if taken or state.step or not np.array_equal(state.flat, fresh.flat):
        raise pair.error("stops", "no step is taken where stop is true from the start", {"taken": taken})


def decay_spares_biases(pair: Pair) -> None:
    """With `decay="weights"` one step moves everything but the dense weights as if there were no decay."""
    paths = []
    for weight_decay in (0.0, 0.25):
        optimizer = replace(pair.problem.optimizer, weight_decay=weight_decay, decay="weights")
        one = replace(pair, problem=replace(pair.problem, optimizer=optimizer))
        state, plan = one.state(), one.plan()
        first = plan.part(0, 1)
        try:
            pair.backend.train(
                one.program(), state, one.samples(), first, Records(np.zeros(1), np.zeros(1)), lambda: False
            )
        except DivergedError:
            return  # there is no step to look at
        paths.append(pair.problem.model().named(state.flat))
    without, decayed = paths
    layers = pair.problem.layers
    for name in without:
        spared = not (isinstance(layers[int(name.split(".")[0])], Dense) and name.endswith("weight"))
        if spared and not np.array_equal(without[name], decayed[name]):
            claim = "weight decay of weights alone leaves biases and scales as they are without it"
            raise pair.error(
                "decay_spares_biases", claim, {"of": name, "without": without[name], "with": decayed[name]}
            )


PROPERTIES: dict[str, Callable[[Pair], None]] = {
    "same_logits": same_logits,
    "same_gradient": same_gradient,
    "same_training": same_training,
    "decay_spares_biases": decay_spares_biases,
    "deterministic": deterministic,
    "stops": stops,
}
"""The properties of a backend by name."""


def check_backend(
    backend: str,
    problem: Any = None,
    *,
    reference: str = "numpy",
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Hold a backend to the reference: the same logits, gradients and training, the same bits twice.

    Args:
        backend: its name in the table of backends.
        problem: a `Problem`, or a strategy of them; None draws from `strategies.problems()`.
        reference: the backend that is right.
        only: names of the properties to check; None checks all of `PROPERTIES`.
        skip: names of properties to leave out.

    Raises:
        PropertyError: for a property that does not hold, with the smallest problem found that shows it.

    >>> from mlp_scratch import SGD, Dense, MSE
    >>> check_backend("numpy", Problem([Dense(2, 1)], MSE(), SGD(), np.eye(2), np.array([0.0, 1.0])))
    """
    names = selected(PROPERTIES, only, skip)
    checked, right = get_backend(backend), get_backend(reference)
    if problem is None:
        from mlp_scratch.testing.strategies import problems  # needs Hypothesis

        problem = problems()

    def check(drawn: Problem) -> None:
        pair = Pair(as_problem(drawn), checked, right)
        for name in names:
            PROPERTIES[name](pair)

    at_each(problem, check, names)
