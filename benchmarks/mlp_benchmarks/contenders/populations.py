"""Our `Population`, as a user would call it; making the untrained networks is not timed, all of `fit` is."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlp_scratch.optimizers import Adam

if TYPE_CHECKING:
    from mlp_benchmarks.population import PopulationWork


class Numba:
    """A network a thread, each the bits of training it alone."""

    def __init__(self, work: "PopulationWork") -> None:
        self._work = work
        self._X, self._y = work.samples

    def reset(self) -> None:
        self._population = self._work.population()

    def prepare(self, steps: int) -> int:
        return steps

    def run(self, steps: int) -> None:
        work = self._work
        for _ in range(steps):
            self._population.fit(
                self._X,
                self._y,
                loss="mae",
                optimizer=Adam(1e-3),
                batch_size=work.case.batch,
                epochs=work.epochs,
                threads=work.threads,
            )

    def evidence(self, outcome: None) -> npt.NDArray[np.float64]:
        from mlp_benchmarks.population import CHECKED, STEPS_CHECKED

        return np.concatenate([model.history.losses[:STEPS_CHECKED] for model in self._population.models[:CHECKED]])
