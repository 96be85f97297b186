"""What holds for every update rule, and what is known of this package's in closed form."""

from dataclasses import replace
from typing import Any

import numpy as np

from mlp_scratch.optimizers import SGD, Adam, Optimizer
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.optimizer_point import STEPS, OptimizerPoint, updated


def shapes(point: OptimizerPoint) -> None:
    """Parameters and slots keep their shapes; looked at before any other property."""
    slots = np.zeros((len(point.optimizer.slots), point.p.size))
    with np.errstate(all="ignore"):  # what is not finite is said next
        after = updated(point.optimizer, point.p, point.g[0], slots, step=1, lr=point.lr, decayed=1.0)
    for what, now, before in zip(("p", "slots"), after, (point.p, slots), strict=True):
        if now.shape != before.shape and (now.size or before.size):  # no slots are no slots
            facts: dict[str, object] = {"of": what, "its shape": now.shape, "expected": before.shape}
            raise point.error("shapes", "parameters and slots keep their shapes", facts)


def finite(point: OptimizerPoint) -> None:
    """Finite parameters and gradients give finite parameters; looked at before any other property, too."""
    with np.errstate(all="ignore"):  # what is not finite is said below
        path = point.run()
    for step, i in np.argwhere(~np.isfinite(path))[:1]:
        facts: dict[str, object] = {
            "step": step + 1,
            "parameter": i,
            "gradient": float(point.g[step, i]),
            "update": float(path[step, i]),
        }
        raise point.error("finite", "an update gives finite numbers", facts)


def pure(point: OptimizerPoint) -> None:
    """An update changes nothing in place, at the first step and later, and asked twice answers the same."""
    for step in (1, 3):
        rule, p, g = point.optimizer, point.p.copy(), point.g[0].copy()
        slots = np.full((len(rule.slots), p.size), 0.25)
        results = [rule.update(p, g, slots, step=step, lr=point.lr) for _ in range(2)]
        claim = "an update changes nothing in place"
        for what, now, before in (("p", p, point.p), ("g", g, point.g[0]), ("slots", slots, np.full_like(slots, 0.25))):
            if not np.array_equal(now, before):
                raise point.error("pure", claim, {"changed": what, "step": step})
        if not all(np.array_equal(a, b) for a, b in zip(*results, strict=True)):
            raise point.error("pure", "the same call gives the same bits", {"step": step})


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
    # Whose weight decay can't be taken out is told that no parameter decays.
    step = point.run(rule, decayed=0.0)[0] - point.p
    uphill = np.flatnonzero(step * point.g[0] > 0)
    if uphill.size:
        i = int(uphill[0])
        facts: dict[str, object] = {"parameter": i, "gradient": float(point.g[0, i]), "step": float(step[i])}
        claim = "where `decayed` is 0, the first step goes against the gradient"
        raise point.error("descends", claim, facts)
    still = point.run(rule, g=np.zeros_like(point.g), decayed=0.0)
    claim = "where `decayed` is 0, a gradient of zero moves nothing"
    point.hold("descends", claim, still, np.broadcast_to(point.p, still.shape), ("parameters", "expected"))


def constant_gradient(point: OptimizerPoint) -> None:
    """Under a gradient that never changes, the path is known in closed form, bias corrections cancelling exactly.

    Adam: m̂ = g and v̂ = g² at every step, so each step is lr g / (|g| + eps).
    SGD: v_t = g (1 + μ + ... + μᵗ⁻¹), and Nesterov's step is g + μ v_t.
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
        velocity = g * np.cumsum(rule.momentum ** (t - 1), axis=0)
        steps = g + rule.momentum * velocity if rule.nesterov else velocity
    else:
        return
    expected = point.p - point.lr * np.cumsum(steps, axis=0)
    actual = point.run(rule, g=np.broadcast_to(g, (STEPS, g.size)))
    # 1 - βᵗ cancels: its relative error is eps / (1 - β).
    nearest = max(rule.beta1, rule.beta2) if isinstance(rule, Adam) else 0.0
    slack = point.lr * STEPS * tolerances.eps(np.float64) / (1 - nearest) * 8
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


def dtype(point: OptimizerPoint) -> None:
    """Parameters and slots keep the dtype in which the parameters are given: float32 in, float32 out.

    And they take the steps that they take in float64, to half of float32's digits.
    """
    with np.errstate(over="ignore"):  # gradients beyond float32
        p, g = point.p.astype(point.dtype), point.g.astype(point.dtype)
    slots = np.zeros((len(point.optimizer.slots), p.size), point.dtype)
    after = updated(point.optimizer, p, g[0], slots, step=1, lr=point.lr, decayed=1.0)
    for what, now in zip(("p", "slots"), after, strict=True):
        if now.size and now.dtype != point.dtype:
            facts: dict[str, object] = {"of": what, "its dtype": now.dtype, "expected": point.dtype}
            raise point.error("dtype", "parameters and slots keep the dtype of the parameters", facts)
    if not np.isfinite(g).all():
        return
    wide_p, wide_g = p.astype(np.float64), g.astype(np.float64)
    narrow, wide = point.run(p=p, g=g) - wide_p, point.run(p=wide_p, g=wide_g) - wide_p
    allowed = tolerances.half_the_digits(tolerances.largest(wide), point.dtype)
    allowed += tolerances.rounding(STEPS, tolerances.largest(wide, wide_p), point.dtype)
    claim, labels = f"{point.dtype} gives float64's steps, but for its rounding", (str(point.dtype), "float64")
    point.within("dtype", claim, narrow, wide, labels, allowed)


def agreement(point: OptimizerPoint) -> None:
    """The path that `reference` takes, where all parameters decay and where every second one does.

    Each step has another learning rate: one that is kept in a slot, or not looked at, shows in no other way.
    """
    if point.reference is None:
        return
    lr = point.lr * 2.0 ** -(np.arange(len(point.g)) % 3)
    for decayed in (1.0, (np.arange(point.p.size) % 2).astype(np.float64)):
        actual, expected = point.run(decayed=decayed, lr=lr), point.run(point.reference, decayed=decayed, lr=lr)
        # 1 - βᵗ cancels, and two formulas for it differ by eps / (1 - β); β₂ is 0.999 as a rule.
        slack = point.lr * STEPS * tolerances.eps(np.float64) * 8 / (1 - 0.999)
        point.hold("agreement", "agrees with the reference", actual, expected, ("checked", "reference"), slack)


def _without_decay(rule: Any) -> Any:
    return replace(rule, weight_decay=0.0) if isinstance(rule, Optimizer) else rule
