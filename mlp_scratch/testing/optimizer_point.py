"""An optimiser at some parameters and gradients: the path it takes, and the error for what does not hold on it."""

import inspect
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentTypeError
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.failure import PropertyError, literal, made
from mlp_scratch.testing.point import ALWAYS

STEPS = 12
"""Steps of each trajectory: enough to tell t from t - 1 in a power, few enough for that not to fade."""

CALL = "update(p, g, slots, *, step, lr, decayed=1.0)"


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
    """An optimiser, parameters p (P,) and gradients g (T, P), one row a step, float64.

    Attributes:
        dtype: of the parameters as they were given.
        reference: another implementation of the same rule, or None.
    """

    optimizer: HasUpdate
    p: Array
    g: Array
    lr: float
    dtype: "np.dtype[Any]"
    reference: HasUpdate | None = None

    def run(
        self,
        optimizer: HasUpdate | None = None,
        p: Array | None = None,
        g: Array | None = None,
        decayed: Any = 1.0,
        lr: Array | None = None,
    ) -> Array:
        """The parameters after each step, (T, P); `lr` is one learning rate a step."""
        rule = optimizer or self.optimizer
        at = np.array(self.p if p is None else p)
        slots = np.zeros((len(rule.slots), at.size), at.dtype)
        gradients = self.g if g is None else g
        rates = [self.lr] * len(gradients) if lr is None else lr.tolist()
        path = []
        for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
            at, slots = updated(rule, at, gradient, slots, step=step, lr=rate, decayed=decayed)
            path.append(at)
        return np.array(path)

    def hold(
        self, name: str, claim: str, actual: Array, expected: Array, labels: tuple[str, str], slack: float = 0.0
    ) -> None:
        """Raise unless two trajectories agree."""
        size = tolerances.largest(expected, self.p) + self.lr
        allowed = tolerances.rounding(STEPS, size, np.float64) + slack
        self.within(name, claim, actual, expected, labels, allowed)

    def within(
        self, name: str, claim: str, actual: Array, expected: Array, labels: tuple[str, str], allowed: float
    ) -> None:
        """Raise unless two trajectories are at most `allowed` apart."""
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
        p = self.p.astype(self.dtype)
        lines = made("optimizer", self.optimizer, "mlp_scratch.optimizers")
        options = f", lr={self.lr}"
        if self.reference is not None:
            lines += made("reference", self.reference, "mlp_scratch.optimizers")
            options += ", reference=reference"
        options += "" if name in ALWAYS else f", only=[{name!r}]"
        code = (
            f"import numpy as np\nfrom mlp_scratch.testing import check_optimizer\n{lines}"
            f"check_optimizer(optimizer, {literal(p)}, {literal(self.g)}{options})"
        )
        return PropertyError(name, claim, {"optimiser": repr(self.optimizer), **facts, "p": p, "g": self.g}, code)


def as_rule(argument: str, thing: Any) -> HasUpdate:
    """`thing`, if it has what an optimiser needs.

    Raises:
        ArgumentTypeError: where it has not.
    """
    checks.having(argument, thing, ("slots", "update"), "for one of this package, Adam()")
    if not isinstance(thing.slots, tuple | list):
        raise ArgumentTypeError(
            argument,
            given=f"slots {checks.describe(thing.slots)}",
            expected="the names of the vectors that it remembers",
            mend="for one that remembers nothing, slots = ()",
        )
    try:
        inspect.signature(thing.update).bind(None, None, None, step=1, lr=0.1, decayed=1.0)
    except TypeError:
        given = f"update{inspect.signature(thing.update)}"
        mend = "decayed is 0 where a parameter has no weight decay; a rule without any leaves it unused"
        raise ArgumentTypeError(argument, given=given, expected=CALL, mend=mend) from None
    except ValueError:  # compiled code tells nothing of its arguments
        pass
    return thing


def updated(rule: HasUpdate, p: Array, g: Array, slots: Array, **options: Any) -> tuple[Array, Array]:
    """What `rule.update` makes of copies, as two arrays.

    Raises:
        ArgumentTypeError: where it returns anything but two things.
    """
    result: Any = rule.update(p.copy(), np.array(g), slots.copy(), **options)
    if not isinstance(result, tuple | list) or len(result) != 2:
        given, expected = f"an update that returns {checks.describe(result)}", "new parameters and new slots"
        raise ArgumentTypeError("optimizer", given=given, expected=expected, mend="return p, slots")
    return np.asarray(result[0]), np.asarray(result[1])
