"""The work: everything that all contenders of a race are given alike, in one file that each of them reads.

Data, initial weights and the order of the samples are made once, by the parent: no contender can train on others.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mlp_benchmarks.cases import OPTIMIZERS, Case
from mlp_benchmarks.floor import flops_per_step
from mlp_benchmarks.samples import load_samples
from mlp_scratch import MLP
from mlp_scratch._types import Array, IntArray
from mlp_scratch.optimizers import Optimizer
from mlp_scratch.random import permutation

SEED = 0
STEPS_CHECKED = 50
STEPS_CHECKED_OF_HUGE = 3
HUGE, HUGE_PARAMETERS = 5_000_000_000, 5_000_000
"""Operations a step, and parameters. From either on fifty steps of all contenders and of the float64 reference would
take longer than all that is timed. Three tell as much: the bound is narrowest at the first steps, and there a lie
shows (a test holds a learning rate times 1.0005 to that)."""
STEPS_KEPT = 1000
"""The order of samples is made for at least so many steps; a longer run goes round."""


@dataclass(frozen=True, eq=False)
class Work:
    """One case with one optimiser, as data.

    Attributes:
        case: the network.
        optimizer: "sgd" or "adam".
        threads: how many threads a contender may use.
        data: where the samples are from: "xy", "digits", "mnist", or "random" where there is no MNIST.
        X: features, float32 (N, D).
        y: targets: class indices, int64 (N,), or reals, float32 (N, 1).
        parameters: the initial parameters, float32 (P,): each layer's weight (H, D), then its bias (H,).
        order: the rows of each step's batch, int64 (steps, batch).
    """

    case: Case
    optimizer: str
    threads: int
    data: str
    X: Array
    y: Array
    parameters: Array
    order: IntArray

    @property
    def rule(self) -> Optimizer:
        """The optimiser with its hyper-parameters."""
        return OPTIMIZERS[self.optimizer]

    @property
    def layers(self) -> list[tuple[Array, Array]]:
        """Weight (H, D) and bias (H,) of each dense layer: views into `parameters`."""
        layers, start = [], 0
        for n_in, n_out in self.case.layers:
            weight, bias, start = start, start + n_in * n_out, start + (n_in + 1) * n_out
            layers.append((self.parameters[weight:bias].reshape(n_out, n_in), self.parameters[bias:start]))
        return layers

    @property
    def steps_checked(self) -> int:
        """How many steps' losses are compared with the reference's."""
        huge = flops_per_step(self.case) >= HUGE or self.case.n_parameters >= HUGE_PARAMETERS
        return STEPS_CHECKED_OF_HUGE if huge else STEPS_CHECKED

    @property
    def evidence_kept(self) -> int:
        """How many numbers a round shows, one a step, for the first of its steps."""
        return self.steps_checked

    def batches(self, steps: int) -> IntArray:
        """The rows of the first `steps` batches, int64 (steps, batch)."""
        return self.order[np.arange(steps) % len(self.order)]

    def save(self, path: Path) -> None:
        """Write all of it to one NPZ file."""
        np.savez(
            path,
            case=json.dumps(asdict(self.case)),
            names=np.array([self.optimizer, self.data]),
            threads=self.threads,
            X=self.X,
            y=self.y,
            parameters=self.parameters,
            order=self.order,
        )

    @classmethod
    def load(cls, path: Path) -> "Work":
        """What `save` wrote."""
        with np.load(path) as file:
            case = json.loads(str(file["case"]))
            optimizer, data = (str(name) for name in file["names"])
            arrays = {name: file[name] for name in ("X", "y", "parameters", "order")}
            return cls(
                Case(**case | {"widths": tuple(case["widths"])}), optimizer, int(file["threads"]), data, **arrays
            )


def make_work(case: Case, optimizer: str, *, threads: int) -> Work:
    """The work of a case: its samples, weights drawn by our own model, and an order drawn by our own shuffle.

    A batch is always full: the samples that an epoch has left over are dropped, for every contender.

    >>> from mlp_benchmarks.cases import CASES
    >>> work = make_work(CASES["digits"], "sgd", threads=1)
    >>> work.X.shape, work.order.shape[1], [weight.shape for weight, bias in work.layers]
    ((1438, 64), 32, [(32, 64), (10, 32)])
    """
    samples = load_samples(case)
    n = len(samples.X)
    steps_an_epoch = n // case.batch
    epochs = -(-STEPS_KEPT // steps_an_epoch)
    order = [permutation(SEED, epoch, n)[: steps_an_epoch * case.batch] for epoch in range(epochs)]
    return Work(
        case=case,
        optimizer=optimizer,
        threads=threads,
        data=samples.name,
        X=samples.X,
        y=samples.y,
        parameters=MLP(case.widths, dtype="float32", seed=SEED).flat,
        order=np.concatenate(order).reshape(-1, case.batch),
    )
