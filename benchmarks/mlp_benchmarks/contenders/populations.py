"""Our `Population`, as a user would call it; making the untrained networks is not timed, all of `fit` is."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders.base import UnsuitableError
from mlp_benchmarks.work import STEPS_CHECKED
from mlp_scratch.backends import get_backend
from mlp_scratch.errors import BackendUnavailableError, MissingDependencyError
from mlp_scratch.optimizers import Adam

if TYPE_CHECKING:
    from mlp_benchmarks.populations import PopulationWork


class Numba:
    """A network a thread, each the bits of training it alone."""

    backend: ClassVar[str] = "numba"

    def __init__(self, work: "PopulationWork") -> None:
        self._work = work
        self._X, self._y = work.samples

    def reset(self) -> None:
        self._population = self._work.population()

    def prepare(self, steps: int) -> int:
        return steps

    def run(self, steps: int) -> list[npt.NDArray[np.float64]]:
        work = self._work
        first: list[npt.NDArray[np.float64]] = []
        for _ in range(steps):
            self._population.fit(
                self._X,
                self._y,
                loss="mae",
                optimizer=Adam(1e-3),
                batch_size=work.case.batch,
                epochs=work.epochs,
                backend=self.backend,
                threads=work.threads,
            )
            first = first or [model.history.losses for model in self._population.models[: work.networks_checked]]
        return first

    def evidence(self, outcome: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        return np.concatenate([losses[:STEPS_CHECKED] for losses in outcome])


class Cuda(Numba):
    """The same call on the GPU, a block of threads a network; the wall clock sees all of it."""

    backend = "cuda"

    def __init__(self, work: "PopulationWork") -> None:
        try:
            get_backend(self.backend)
        except (BackendUnavailableError, MissingDependencyError) as error:
            raise UnsuitableError(str(error)) from None
        super().__init__(work)
