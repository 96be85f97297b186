"""`check_optimizer`: every property of an update rule, from nothing but its `update`.

p', slots' = optimizer.update(p, g, slots, step=t, lr=lr, decayed=mask)
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.optimizers import SGD, Adam, Optimizer
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.failure import PropertyError, literal
from mlp_scratch.testing.layers import selected

STEPS = 12
"""Steps of each trajectory: enough to tell t from t - 1 in a power, few enough for that not to fade."""


class HasUpdate(Protocol):
    """What an optimiser needs."""

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the vectors it remembers."""

    def update(
        self, p: Array, g: Array, slots: Array, *, step: int, lr: float, decayed: Array | float = 1.0
    ) -> tuple[Array, Array]:
        """New parameters and slots."""


@dataclass(frozen=True)
class OptimizerPoint:
    """An optimiser, parameters p (P,) and gradients g (T, P), one row a step."""

    optimizer: HasUpdate
    p: Array
    g: Array
    lr: float

    def run(
        self, optimizer: HasUpdate | None = None, p: Array | None = None, g: Array | None = None, decayed: Any = 1.0
    ) -> Array:
        """The parameters after each step, (T, P)."""
        rule = optimizer or self.optimizer
        at = np.array(self.p if p is None else p)
        slots = np.zeros((len(rule.slots), at.size), at.dtype)
        path = []
        for step, gradient in enumerate(self.g if g is None else g, start=1):
            at, slots = rule.update(at, gradient, slots, step=step, lr=self.lr, decayed=decayed)
            path.append(at)
        return np.array(path)

    def hold(
        self, name: str, claim: str, actual: Array, expected: Array, labels: tuple[str, str], slack: float = 0.0
    ) -> None:
        """Raise unless two trajectories agree."""
        size = tolerances.largest(expected, self.p) + self.lr
        allowed = tolerances.rounding(STEPS, size, np.float64) + slack
        where = tolerances.worst(actual, expected, allowed)
        if where is None:
            return
        a, b = float(actual[where]), float(expected[where])
        facts: dict[str, object] = {
            "step": where[0] + 1,
            "parameter": where[1],
            labels[0]: a,
            labels[1]: b,
            "off by": abs(a - b),
        }
        raise self.error(name, claim, facts | {"allowed": allowed})

    def error(self, name: str, claim: str, facts: dict[str, object]) -> PropertyError:
        """The error for a violated property."""
        kind = type(self.optimizer).__name__
        own = isinstance(self.optimizer, Optimizer)
        made = (
            f"from mlp_scratch.optimizers import {kind}\noptimizer = {self.optimizer!r}" if own else "optimizer = ..."
        )
        code = (
            f"import numpy as np\nfrom mlp_scratch.testing import check_optimizer\n{made}\n"
            f"check_optimizer(optimizer, {literal(self.p)}, {literal(self.g)}, lr={self.lr}, only=[{name!r}])"
        )
        return PropertyError(name, claim, {"optimiser": repr(self.optimizer), **facts, "p": self.p, "g": self.g}, code)


def pure(point: OptimizerPoint) -> None:
    """An update changes nothing in place, and asked twice answers the same."""
    rule, p, g = point.optimizer, point.p.copy(), point.g[0].copy()
    slots = np.full((len(rule.slots), p.size), 0.25)
    results = [rule.update(p, g, slots, step=3, lr=point.lr) for _ in range(2)]
    claim = "an update changes nothing in place"
    for what, now, before in (("p", p, point.p), ("g", g, point.g[0]), ("slots", slots, np.full_like(slots, 0.25))):
        if not np.array_equal(now, before):
            raise point.error("pure", claim, {"changed": what})
    if not all(np.array_equal(a, b) for a, b in zip(*results, strict=True)):
        raise point.error("pure", "the same call gives the same bits", {})


def elementwise(point: OptimizerPoint) -> None:
    """Each parameter is updated by its own gradient alone: in another order of the parameters nothing else changes."""
    order = np.roll(np.arange(point.p.size), 1)
    expected = point.run()[:, order]
    actual = point.run(p=point.p[order], g=point.g[:, order])
    point.hold(
        "elementwise", "each parameter is updated by its own gradient alone", actual, expected, ("permuted", "given")
    )


def descends(point: OptimizerPoint) -> None:
    """Without decay the first step goes against the gradient, parameter by parameter; a zero gradient moves nothing."""
    rule = _without_decay(point.optimizer)
    step = point.run(rule)[0] - point.p
    uphill = np.flatnonzero(step * point.g[0] > 0)
    if uphill.size:
        i = int(uphill[0])
        facts: dict[str, object] = {"parameter": i, "gradient": float(point.g[0, i]), "step": float(step[i])}
        raise point.error("descends", "the first step goes against the gradient", facts)
    still = point.run(rule, g=np.zeros_like(point.g))
    claim = "a gradient of zero moves nothing"
    point.hold("descends", claim, still, np.broadcast_to(point.p, still.shape), ("parameters", "expected"))


def constant_gradient(point: OptimizerPoint) -> None:
    """Under a gradient that never changes, the path is known in closed form, bias corrections cancelling exactly.

    Adam: m̂ = g and v̂ = g² at every step, so each step is lr g / (|g| + eps).
    SGD: v_t = g (1 - μᵗ) / (1 - μ), and Nesterov's step is g + μ v_t.
    """
    rule, g = _without_decay(point.optimizer), point.g[0]
    t = np.arange(1, STEPS + 1)[:, np.newaxis]
    if isinstance(rule, Adam):
        # In Keras' form eps stands beside √v, which is |g| √(1 - β₂ᵗ).
        eps = rule.eps if rule.eps_mode == "torch" else rule.eps / np.sqrt(1 - rule.beta2**t)
        size = np.abs(g) + eps
        steps = np.divide(g, size, out=np.zeros(np.broadcast_shapes(g.shape, size.shape)), where=size > 0)
        steps = np.broadcast_to(steps, (STEPS, g.size))
    elif isinstance(rule, SGD):
        velocity = g * ((1 - rule.momentum**t) / (1 - rule.momentum))
        steps = g + rule.momentum * velocity if rule.nesterov else velocity
    else:
        return
    expected = point.p - point.lr * np.cumsum(steps, axis=0)
    actual = point.run(rule, g=np.broadcast_to(g, (STEPS, g.size)))
    # 1 - β₂ᵗ cancels: its relative error is eps / (1 - β₂).
    slack = point.lr * STEPS * tolerances.eps(np.float64) / (1 - getattr(rule, "beta2", 0.0)) * 8
    claim = "a constant gradient gives the path known in closed form, step by step"
    point.hold("constant_gradient", claim, actual, expected, ("update", "closed form"), slack)


def decay_mask(point: OptimizerPoint) -> None:
    """Where `decayed` is 0 (biases) the path is that without decay; where it is 1, that with decay."""
    if not isinstance(point.optimizer, Optimizer):
        return
    rule = replace(point.optimizer, weight_decay=0.25)
    mask = (np.arange(point.p.size) % 2).astype(np.float64)
    without, everywhere, masked = point.run(_without_decay(rule)), point.run(rule), point.run(rule, decayed=mask)
    expected = np.where(mask == 0, without, everywhere)
    point.hold(
        "decay_mask", "weight decay acts where the mask is 1 and nowhere else", masked, expected, ("masked", "expected")
    )
    at = point.p + 1.0  # no parameter is 0: each must move by decay alone
    slots = np.zeros((len(rule.slots), at.size))
    shrunk, _ = rule.update(at, np.zeros_like(at), slots, step=1, lr=point.lr)
    if rule.decoupled or (isinstance(rule, SGD) and not rule.nesterov):
        factor = 1 - point.lr * 0.25
        claim = "without a gradient, one step of decay multiplies by 1 - lr λ"
        point.hold("decay_mask", claim, shrunk[np.newaxis], (at * factor)[np.newaxis], ("update", "expected"))


def coupled_decay(point: OptimizerPoint) -> None:
    """Coupled decay is the gradient of λ/2 |p|²: the step with it is the step without at the gradient g + λp."""
    rule = point.optimizer
    if not isinstance(rule, Optimizer) or rule.decoupled:
        return
    with_decay, plain = replace(rule, weight_decay=0.25), _without_decay(rule)
    at, slots = point.p.copy(), np.zeros((len(rule.slots), point.p.size))
    for step, g in enumerate(point.g, start=1):
        expected, slots_expected = plain.update(at, g + 0.25 * at, slots, step=step, lr=point.lr)
        at, slots = with_decay.update(at, g, slots, step=step, lr=point.lr)
        claim = "coupled weight decay adds λp to the gradient"
        point.hold("coupled_decay", claim, at[np.newaxis], expected[np.newaxis], ("update", "expected"))
        point.hold("coupled_decay", claim, slots, slots_expected, ("slots", "expected"))


def scale_invariance(point: OptimizerPoint) -> None:
    """Adam without eps doesn't see the gradient's unit; SGD's step is proportional to it."""
    rule = _without_decay(point.optimizer)
    start = np.zeros_like(point.p)
    if isinstance(rule, Adam):
        rule, factor = replace(rule, eps=0.0), 1.0
    elif isinstance(rule, SGD):
        factor = 1024.0
    else:
        return
    g = np.where(point.g == 0, 0.5, point.g)
    actual, expected = point.run(rule, p=start, g=1024.0 * g), factor * point.run(rule, p=start, g=g)
    point.hold(
        "scale_invariance",
        "the step answers to the gradient's unit as its rule says",
        actual,
        expected,
        ("scaled", "expected"),
    )


PROPERTIES: dict[str, Callable[[OptimizerPoint], None]] = {
    "pure": pure,
    "elementwise": elementwise,
    "descends": descends,
    "constant_gradient": constant_gradient,
    "scale_invariance": scale_invariance,
    "coupled_decay": coupled_decay,
    "decay_mask": decay_mask,
}
"""The properties of an optimiser by name."""


def check_optimizer(
    optimizer: Any,
    p: object = None,
    g: object = None,
    *,
    lr: float = 0.125,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Hold an optimiser to every property that a correct update rule has.

    Args:
        optimizer: an object with `slots` and `update(p, g, slots, *, step, lr, decayed)`; or a strategy of them.
        p: parameters, (P,); None takes some.
        g: gradients, (T, P), one row a step; None takes some, with a zero and with large and small ones.
        lr: the learning rate.
        only: names of the properties to check; None checks all of `PROPERTIES`.
        skip: names of properties to leave out.

    Raises:
        PropertyError: for a property that does not hold.

    >>> check_optimizer(Adam(beta2=0.9))
    """
    names = selected(PROPERTIES, only, skip)
    rng = np.random.default_rng(1)
    start = rng.normal(size=5) if p is None else np.array(p, dtype=np.float64)
    drawn = rng.normal(size=(STEPS, start.size)) * 2.0 ** rng.integers(-6, 7, start.size)
    drawn[0, 0] = 0.0 if g is None else drawn[0, 0]
    gradients = drawn if g is None else np.atleast_2d(np.array(g, dtype=np.float64))

    def check(rule: Any) -> None:
        checks.having("optimizer", rule, ("slots", "update"), "for one of this package, Adam()")
        point = OptimizerPoint(rule, start, gradients, lr)
        for name in names:
            PROPERTIES[name](point)

    at_each(optimizer, check)


def _without_decay(rule: Any) -> Any:
    return replace(rule, weight_decay=0.0) if isinstance(rule, Optimizer) else rule
