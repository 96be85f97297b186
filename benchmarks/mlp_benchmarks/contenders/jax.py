# mypy: disable-error-code="no-untyped-call"
"""JAX with one `jit`-compiled step.

Choices: the whole step, gather and update included, is one compiled function, so a step is one dispatch. Parameters
and optimiser state are donated, so they are updated in place. Data, targets and row numbers are device arrays before
the clock starts. Losses stay on the device; the clock stops after `block_until_ready` on the last state. Products
run at the highest precision, and x64 mode is off, so all is float32. Weights are kept (D, H), the layout of `x @ W`.

The optimisers are Optax's formulas written out. One departure: 1 - βᵗ is taken as -expm1(t log β), because float32
rounds 0.999ᵗ so coarsely that the first steps would be wrong by 2e-5.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray
from mlp_scratch.optimizers import Adam


class Jax:
    """One dispatch a step."""

    def __init__(self, work: Work) -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        self._work = work
        self._X, self._y = jnp.array(work.X), jnp.array(work.y)
        self._step = jax.jit(make_step(work), donate_argnums=0)
        self.reset()

    def reset(self) -> None:
        self._state = initial_state(self._work)

    def prepare(self, rows: IntArray) -> Any:
        return [jnp.asarray(batch, dtype=jnp.int32) for batch in rows]

    def run(self, batches: Any) -> Any:
        step, state, X, y = self._step, self._state, self._X, self._y
        losses = []
        for rows in batches:
            state, loss = step(state, X, y, rows)
            losses.append(loss)
        self._state = jax.block_until_ready(state)
        return losses

    def evidence(self, outcome: Any) -> npt.NDArray[np.float64]:
        return np.array([float(loss) for loss in outcome])


def initial_state(work: Work) -> Any:
    """Parameters, the optimiser's first and second moments (empty for SGD), and the count of steps."""
    parameters = [(jnp.array(weight.T), jnp.array(bias)) for weight, bias in work.layers]
    moments = [jax.tree.map(jnp.zeros_like, parameters) for _ in work.rule.slots]
    return jax.block_until_ready((parameters, moments, jnp.zeros((), jnp.int32)))


def make_step(work: Work) -> Any:
    """The function (state, X, y, rows) -> (state, loss) of one training step."""
    value_and_gradient = jax.value_and_grad(_mae if work.case.loss == "mae" else _cross_entropy)
    update = _adam(work.rule) if isinstance(work.rule, Adam) else _sgd(work.rule.lr)

    def step(state: Any, X: Any, y: Any, rows: Any) -> Any:
        # The rows are known to be inside, so JAX need not make out-of-range ones safe.
        batch = [array.at[rows].get(mode="promise_in_bounds") for array in (X, y)]
        loss, gradients = value_and_gradient(state[0], *batch)
        return update(*state, gradients), loss

    return step


def _logits(parameters: Any, x: Any) -> Any:
    *hidden, (last_weight, last_bias) = parameters
    for weight, bias in hidden:
        x = jax.nn.relu(x @ weight + bias)
    return x @ last_weight + last_bias


def _cross_entropy(parameters: Any, x: Any, y: Any) -> Any:
    z = _logits(parameters, x)
    # A product with one-hot rows: its gradient is one fused subtraction, where picking would scatter.
    return (jax.nn.logsumexp(z, axis=1) - (z * jax.nn.one_hot(y, z.shape[1])).sum(axis=1)).mean()


def _mae(parameters: Any, x: Any, y: Any) -> Any:
    return jnp.abs(_logits(parameters, x) - y).mean()


def _sgd(lr: float) -> Any:
    def update(parameters: Any, moments: Any, count: Any, gradients: Any) -> Any:
        return jax.tree.map(lambda p, g: p - lr * g, parameters, gradients), moments, count + 1

    return update


def _adam(rule: Adam) -> Any:
    def update(parameters: Any, moments: Any, count: Any, gradients: Any) -> Any:
        count = count + 1
        m = jax.tree.map(lambda m, g: rule.beta1 * m + (1 - rule.beta1) * g, moments[0], gradients)
        v = jax.tree.map(lambda v, g: rule.beta2 * v + (1 - rule.beta2) * g * g, moments[1], gradients)
        size = rule.lr / -jnp.expm1(count * math.log(rule.beta1))
        scale = jnp.sqrt(-jnp.expm1(count * math.log(rule.beta2)))
        parameters = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) / scale + rule.eps), parameters, m, v)
        return parameters, [m, v], count

    return update
