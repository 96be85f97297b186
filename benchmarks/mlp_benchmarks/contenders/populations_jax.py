# mypy: disable-error-code="no-untyped-call"
"""JAX: `vmap` over the networks of `scan` over the steps, one compiled function for the whole training.

Choices: as in `jax_scan.py`; the step is the same. Parameters, moments and orders are stacked over the networks on
the device before the clock starts, the data are shared.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.contenders.jax import initial_state, make_step
from mlp_benchmarks.work import STEPS_CHECKED, Work

if TYPE_CHECKING:
    from mlp_benchmarks.populations import PopulationWork


class JaxVmapScan:
    """One dispatch for everything."""

    def __init__(self, work: "PopulationWork") -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        X, y = work.samples
        self._checked = work.networks_checked
        self._X, self._y = jnp.array(X), jnp.array(y)
        orders = np.stack([work.order(network) for network in range(work.count)])
        self._orders = jnp.asarray(orders, dtype=jnp.int32)
        self._works = [
            Work(work.case, "adam", work.threads, "xy", X, y, parameters, orders[0]) for parameters in work.parameters()
        ]
        step = make_step(self._works[0])

        def train(state: Any, X: Any, y: Any, order: Any) -> Any:
            return jax.lax.scan(lambda state, rows: step(state, X, y, rows), state, order)

        self._train = jax.jit(jax.vmap(train, in_axes=(0, None, None, 0)), donate_argnums=0)

    def reset(self) -> None:
        states = [initial_state(work) for work in self._works]
        self._state = jax.block_until_ready(jax.tree.map(lambda *arrays: jnp.stack(arrays), *states))

    def prepare(self, steps: int) -> int:
        return steps

    def run(self, steps: int) -> Any:
        outcomes = []
        for _ in range(steps):
            self._state, losses = jax.block_until_ready(self._train(self._state, self._X, self._y, self._orders))
            outcomes.append(losses)
        return outcomes[0]

    def evidence(self, outcome: Any) -> npt.NDArray[np.float64]:
        return np.asarray(outcome[: self._checked, :STEPS_CHECKED], dtype=np.float64).ravel()


class JaxVmapScanCuda(JaxVmapScan):
    """The same on the first GPU."""

    def __init__(self, work: "PopulationWork") -> None:
        if jax.default_backend() != "gpu":
            raise UnsuitableError("JAX finds no GPU; pip install 'jax[cuda13]' on a machine that has one")
        super().__init__(work)
