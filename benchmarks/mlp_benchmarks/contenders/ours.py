"""Our own engine: one call of a backend takes all the steps, as in `Sequential.fit`."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.work import Work
from mlp_scratch import MLP
from mlp_scratch._types import IntArray
from mlp_scratch.backends import Plan, Records, Samples, State, get_backend
from mlp_scratch.errors import BackendUnavailableError, MissingDependencyError, UnknownNameError
from mlp_scratch.losses import LOSSES
from mlp_scratch.program import lower

Batches = tuple[Plan, Records]


class Numpy:
    """The NumPy backend, the specification: written to be read, so it also checks each step for NaN and infinity."""

    backend: ClassVar[str] = "numpy"

    def __init__(self, work: Work) -> None:
        try:
            self._backend = get_backend(self.backend, threads=work.threads)
        except UnknownNameError:
            raise UnsuitableError("not in this version") from None
        except (BackendUnavailableError, MissingDependencyError) as error:
            raise UnsuitableError(str(error)) from None
        model = MLP(work.case.widths, weight_init="zeros", dtype="float32")  # the weights are those of the work
        loss = LOSSES[work.case.loss]
        self._work = work
        self._program = lower(model, loss, work.rule)
        self._samples = Samples(work.X, loss.prepare(work.y, model.n_outputs, model.dtype))
        slots = np.zeros((len(work.rule.slots), model.n_parameters), model.dtype)
        self._state = State(model.flat, model.buffer_vector, slots)
        self.reset()

    def reset(self) -> None:
        self._state.flat[...] = self._work.parameters
        self._state.slots[...] = 0
        self._state.step = 0

    def prepare(self, rows: IntArray) -> Batches:
        steps, size = rows.shape
        plan = Plan(rows.ravel(), size, np.full(steps, self._work.rule.lr), seed=0)
        return plan, Records(np.full(steps, np.nan), np.full(steps, np.nan))

    def run(self, batches: Batches) -> Records:
        plan, records = batches
        self._backend.train(self._program, self._state, self._samples, plan, records, lambda: False)
        return records

    def evidence(self, outcome: Records) -> npt.NDArray[np.float64]:
        return outcome.losses.copy()  # the next run writes into the same array


class Numba(Numpy):
    """The compiled backend under the same contract."""

    backend = "numba"


class Cuda(Numpy):
    """The GPU backend. A call copies the parameters in and out, as `fit` does; the wall clock sees all of it."""

    backend = "cuda"
