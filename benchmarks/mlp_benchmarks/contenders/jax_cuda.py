# mypy: disable-error-code="no-untyped-call"
"""JAX on a GPU: `lax.scan` over the steps, as in `jax_scan.py`, which leaves no launch to Python.

Choices: all arrays live on the GPU, the state is donated, and products run at the highest precision, which for JAX
on NVIDIA means float32 and no tf32. JAX has no events of its own; the wall clock around one call of many steps,
ended by `block_until_ready`, sees the same to within a launch.
"""

import jax

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.contenders.jax_scan import JaxScan
from mlp_benchmarks.work import Work


class JaxCuda(JaxScan):
    """One dispatch for many steps, on the first GPU."""

    def __init__(self, work: Work) -> None:
        if jax.default_backend() != "gpu":
            raise UnsuitableError("JAX finds no GPU; pip install 'jax[cuda13]' on a machine that has one")
        super().__init__(work)
