# mypy: disable-error-code="no-untyped-call"
"""JAX with `lax.scan`: all the steps of a call in one compiled loop, with no Python between them.

The step is that of `jax.py`; the choices are the same. A loop of another length is another compilation, which
happens before the clock starts.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders.jax import initial_state, make_step
from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray


class JaxScan:
    """One dispatch for many steps."""

    compiles_each_length: ClassVar[bool] = True

    def __init__(self, work: Work) -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        self._work = work
        self._X, self._y = jnp.array(work.X), jnp.array(work.y)
        step = make_step(work)

        def loop(state: Any, X: Any, y: Any, batches: Any) -> Any:
            return jax.lax.scan(lambda state, rows: step(state, X, y, rows), state, batches)

        self._loop = jax.jit(loop, donate_argnums=0)
        self.reset()

    def reset(self) -> None:
        self._state = initial_state(self._work)

    def prepare(self, rows: IntArray) -> Any:
        return jnp.asarray(rows, dtype=jnp.int32)

    def run(self, batches: Any) -> Any:
        self._state, losses = jax.block_until_ready(self._loop(self._state, self._X, self._y, batches))
        return losses

    def evidence(self, outcome: Any) -> npt.NDArray[np.float64]:
        return np.asarray(outcome, dtype=np.float64)
