"""Training many small networks at once, as a job: their weights, their orders, and how exact their losses must be."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.cases import CASES, Case
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Verdict
from mlp_benchmarks.reference import ReferenceMaker
from mlp_benchmarks.samples import load_samples
from mlp_benchmarks.work import STEPS_CHECKED, Work
from mlp_scratch import MLP, Population
from mlp_scratch._types import Array, IntArray
from mlp_scratch.random import permutation

NETWORKS, EPOCHS, CHECKED = 100, 10, 4
"""CHECKED: how many of the networks are compared, loss by loss, with the float64 reference."""

_HERE = "mlp_benchmarks.contenders.populations"
POPULATION_CONTENDERS: dict[str, Entry] = {
    "numba": Entry(f"{_HERE}:Numba"),
    "jax-vmap-scan": Entry(f"{_HERE}_jax:JaxVmapScan", "jax", "pip install jax"),
    "torch-stacked": Entry(f"{_HERE}_torch:TorchStacked", "torch", "pip install torch"),
    "cuda": Entry(f"{_HERE}:Cuda", device="gpu"),
    "jax-cuda-vmap-scan": Entry(f"{_HERE}_jax:JaxVmapScanCuda", "jax", "pip install 'jax[cuda13]'", device="gpu"),
}


@dataclass(frozen=True, eq=False)
class PopulationWork:
    """Networks 2-24-1 on the xy task, Adam, batch 32: each with its own weights and its own order of the samples.

    Attributes:
        count: how many networks; network i has seed i.
        epochs: over 9,984 samples, so that every batch is full.
        threads: of each contender.
    """

    kind: ClassVar[str] = "mlp_benchmarks.populations:PopulationWork"
    least_seconds: ClassVar[float] = 0.0
    steps_checked: ClassVar[int] = 1
    networks_checked: ClassVar[int] = CHECKED
    evidence_kept: ClassVar[int] = STEPS_CHECKED * CHECKED
    count: int = NETWORKS
    epochs: int = EPOCHS
    threads: int = 1

    @property
    def case(self) -> Case:
        return CASES["xy-1x24"]

    @property
    def name(self) -> str:
        return f"{self.count} networks on {self.threads}"

    @cached_property
    def samples(self) -> tuple[Array, Array]:
        """X (N, 2) and y (N, 1), N a multiple of the batch."""
        samples = load_samples(self.case)
        n = len(samples.X) // self.case.batch * self.case.batch
        return samples.X[:n], samples.y[:n]

    @property
    def steps(self) -> int:
        """Of each network."""
        return self.epochs * len(self.samples[0]) // self.case.batch

    def population(self) -> Population:
        """Our own networks, untrained."""
        return Population(MLP(self.case.widths, dtype="float32"), seeds=range(self.count))

    def parameters(self) -> Array:
        """The initial ones, (networks, P)."""
        return np.stack([model.flat for model in self.population().models])

    def order(self, network: int) -> IntArray:
        """The rows of each of its batches, (steps, batch)."""
        n = len(self.samples[0])
        order = [permutation(network, epoch, n) for epoch in range(self.epochs)]
        return np.concatenate(order).reshape(-1, self.case.batch)

    @cached_property
    def references(self) -> list[ReferenceMaker]:
        X, y = self.samples
        parameters = self.parameters()
        return [
            ReferenceMaker(Work(self.case, "adam", self.threads, "xy", X, y, parameters[i], self.order(i)))
            for i in range(CHECKED)
        ]

    def save(self, path: Path) -> None:
        np.savez(path, count=self.count, epochs=self.epochs, threads=self.threads)

    @classmethod
    def load(cls, path: Path) -> "PopulationWork":
        with np.load(path) as file:
            return cls(*(int(file[name]) for name in ("count", "epochs", "threads")))

    def batches(self, steps: int) -> int:
        """A step of this race is the whole training of all networks."""
        return steps

    def judge(self, entry: Entry, evidence: npt.NDArray[np.float64]) -> Verdict:
        gap = bound = 0.0
        for i, maker in enumerate(self.references):
            reference, losses = maker.get(entry.adam_form), evidence[i * STEPS_CHECKED : (i + 1) * STEPS_CHECKED]
            gap, bound = max(gap, reference.gap(losses)), max(bound, float(reference.bound[-1]))
            if (step := reference.first_refused(losses)) is not None:
                return Verdict(gap, bound, f"network {i} leaves its float64 curve at step {step}")
        return Verdict(gap, bound, "")
