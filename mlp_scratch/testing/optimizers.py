"""`check_optimizer`: every property of an update rule, from nothing but its `update`.

p', slots' = optimizer.update(p, g, slots, step=t, lr=lr, decayed=mask)
"""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch.errors import ArgumentError
from mlp_scratch.testing.drawing import at_each
from mlp_scratch.testing.layers import selected
from mlp_scratch.testing.optimizer_point import STEPS, OptimizerPoint, as_rule
from mlp_scratch.testing.optimizer_properties import (
    agreement,
    constant_gradient,
    coupled_decay,
    decay_mask,
    descends,
    dtype,
    elementwise,
    finite,
    pure,
    scale_invariance,
    shapes,
)

PROPERTIES: dict[str, Callable[[OptimizerPoint], None]] = {
    "pure": pure,
    "elementwise": elementwise,
    "descends": descends,
    "constant_gradient": constant_gradient,
    "scale_invariance": scale_invariance,
    "coupled_decay": coupled_decay,
    "decay_mask": decay_mask,
    "dtype": dtype,
}
"""The properties of an optimiser by name."""


def check_optimizer(
    optimizer: Any,
    p: object = None,
    g: object = None,
    *,
    lr: float = 0.125,
    reference: Any = None,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
) -> None:
    """Hold an optimiser to every property that a correct update rule has.

    Args:
        optimizer: an object with `slots` and `update(p, g, slots, *, step, lr, decayed)`; or a strategy of them.
        p: parameters, (P,), in the dtype that the update is to keep; None takes some, float64.
        g: gradients, (T, P), one row a step; None takes some, with a zero and with large and small ones.
        lr: the learning rate.
        reference: another implementation of the same rule, in the same form, `Adam(beta2=0.99)` or your own; adds the
            property "agreement".
        only: names of the properties to check; None checks all of `PROPERTIES`.
        skip: names of properties to leave out.

    Raises:
        PropertyError: for a property that does not hold.
        ArgumentError: for what is no optimiser, and for parameters and gradients that don't fit each other.

    >>> from mlp_scratch.optimizers import Adam
    >>> check_optimizer(Adam(beta2=0.9))
    """
    other = None if reference is None else as_rule("reference", reference)
    names = selected(PROPERTIES, only, skip, also=() if other is None else ("agreement",))
    rng = np.random.default_rng(1)
    rate = checks.real("lr", lr, above=0.0)
    given = checks.numeric("p", rng.normal(size=5) if p is None else p)
    start = given.astype(np.float64)
    if start.ndim != 1 or not start.size:
        raise ArgumentError("p", given=f"shape {start.shape}", expected="at least one parameter, shape (P,)")
    checks.finite("p", start, start.dtype)
    drawn = rng.normal(size=(STEPS, start.size)) * 2.0 ** rng.integers(-6, 7, start.size)
    drawn[0, 0] = 0.0
    gradients = drawn if g is None else np.atleast_2d(checks.numeric("g", g).astype(np.float64))
    if gradients.shape[1:] != start.shape or not gradients.size:
        expected = f"p of shape (P,) and g of shape (T, P), one row a step; p has shape {start.shape}"
        raise ArgumentError("g", given=f"shape {gradients.shape}", expected=expected)
    checks.finite("g", gradients, gradients.dtype)
    kind = given.dtype if given.dtype.kind == "f" else start.dtype

    def check(rule: Any) -> None:
        point = OptimizerPoint(as_rule("optimizer", rule), start, gradients, rate, kind, other)
        shapes(point)
        finite(point)
        for name in names:
            (PROPERTIES[name] if name != "agreement" else agreement)(point)

    at_each(optimizer, check, names)
