"""The CUDA backend: the same programs on an NVIDIA GPU, from kernels written in Python.

A call copies the model's flat vectors to the GPU, trains there, many steps a launch, and copies them back at the end.
So the flat vectors are the last state known to be good until then: when a step diverges, the steps before it are
taken again from there, and end in the same bits; when a launch fails, the model is as the last call left it.
"""

from time import perf_counter

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.backends.base import Plan, Records, Samples, State, Stop
from mlp_scratch.backends.cuda_data import DataSet, StreamedDataSet
from mlp_scratch.backends.cuda_device import ROOM, free_memory
from mlp_scratch.backends.cuda_fleet import Course, Fleet
from mlp_scratch.backends.divergence import divergence, last_good_step
from mlp_scratch.backends.refusals import check_statistics, refusal
from mlp_scratch.program import Program

SECONDS_A_LAUNCH = 0.05
"""The GPU is handed as many steps at a time as take about this long; then `stop` is asked."""

INFERENCE_BATCH = 4096
"""Samples that go through the network together in inference."""

SHARE_FOR_DATA = 0.5
"""The share of the free memory that a data set may stay in; a larger one is streamed."""


class CudaBackend:
    """Lowers a program to tables and runs it on the current GPU; for one caller at a time.

    Args:
        threads: of the CPU, of which this backend needs one.
    """

    name = "cuda"

    def __init__(self, threads: int | None = None) -> None:
        self._fleet: Fleet | None = None
        self._data: DataSet | None = None  # with the samples, so that none others can take their place unnoticed

    def refusal(self, program: Program) -> str:
        # Parameters and slots as in the model and as in the kernels' layout; what a batch needs depends on its size.
        needed = 2 * (1 + len(program.optimizer.slots)) * program.n_parameters * program.dtype.itemsize
        too_large = f"{program.n_parameters:,} parameters on a GPU with {free_memory() / 1e6:,.1f} MB free"
        return refusal(program, functions=False) or (too_large if needed > ROOM * free_memory() else "")

    def logits(self, program: Program, state: State, X: Array) -> Array:
        out = np.empty((len(X), program.operations[-1].n_out), program.dtype)
        size = min(INFERENCE_BATCH, len(X))
        fleet = Fleet(program, 1, size, "infer")
        samples = Samples(X, np.zeros(len(X), program.dtype))
        data = DataSet(samples, program.dtype, capacity=size)
        for first in range(0, len(X), size):
            rows = np.arange(first, min(first + size, len(X)))
            data.copy(rows, 0)
            fleet.begin(Course.of_plan(_one_batch(len(rows), 0), 1, training=False), data)
            if first == 0:
                fleet.load([state])
            fleet.advance(0, 1)
            out[rows] = fleet.output(len(rows))
        return out

    def loss_and_gradient(
        self, program: Program, state: State, samples: Samples, *, seed: int, step: int, training: bool
    ) -> tuple[float, Array]:
        n = len(samples.X)
        if training:
            check_statistics(program, n)
        fleet = Fleet(program, 1, n, "gradient")
        fleet.begin(Course.of_plan(_one_batch(n, seed), step, training=training), DataSet(samples, program.dtype))
        fleet.load([state])
        fleet.advance(0, 1)
        loss = float(fleet.figures(0, 1)[0, 0, 0])
        return loss, fleet.saved()[0].slots[0]

    def train(
        self,
        program: Program,
        state: State,
        samples: Samples,
        plan: Plan,
        records: Records,
        stop: Stop,
    ) -> int:
        taken = 0
        for epoch in plan.epochs():
            here = slice(taken, taken + len(epoch.lr))
            own = Records(records.losses[here], records.accuracies[here])
            some = self._train_epoch(program, state, samples, epoch, own, stop)
            taken += some
            if some < len(epoch.lr):
                break
        return taken

    def _train_epoch(
        self,
        program: Program,
        state: State,
        samples: Samples,
        plan: Plan,
        records: Records,
        stop: Stop,
    ) -> int:
        fleet = self._workspace(program, min(plan.batch_size, len(plan.rows)))
        run = _Run(fleet, self._data_set(program, samples, plan.batch_size), state, plan)
        taken = run.advance_until(stop)
        result = run.result(taken)
        if result is None:
            taken = last_good_step(lambda steps: run.replay(steps) is not None, run.losses[:taken])
            good = run.replay(taken)
            assert good is not None  # the same steps give the same bits
            _assign(state, good, taken)
        else:
            _assign(state, result, taken)
        records.losses[:taken], records.accuracies[:taken] = run.losses[:taken], run.accuracies[:taken]
        if result is None:
            raise divergence(program, state, samples, plan, taken)
        return taken

    def _workspace(self, program: Program, batch_size: int) -> Fleet:
        """The memory of the last call where it fits: a fit makes many calls with the same program."""
        if self._fleet is None or self._fleet.program is not program or self._fleet.batch_size < batch_size:
            self._fleet = None
            self._fleet = Fleet(program, 1, batch_size)
        return self._fleet

    def _data_set(self, program: Program, samples: Samples, batch_size: int) -> DataSet:
        """The samples on the GPU, where they stay for the whole fit; if they are too many, room for some batches."""
        if self._data is None or self._data.samples is not samples or self._data.dtype != program.dtype:
            self._data = None
            size = DataSet.width(samples) * program.dtype.itemsize
            room = int(min(SHARE_FOR_DATA * free_memory() / size, len(samples.X)))
            if room == len(samples.X):
                self._data = DataSet(samples, program.dtype)
            else:
                self._data = StreamedDataSet(samples, program.dtype, room, batch_size)
        return self._data


class _Run:
    """A call of `train` on its way."""

    def __init__(self, fleet: Fleet, data: DataSet, state: State, plan: Plan) -> None:
        self.fleet, self.data, self.state, self.plan = fleet, data, state, plan
        self.losses, self.accuracies = np.empty(len(plan.lr)), np.empty(len(plan.lr))
        fleet.begin(Course.of_plan(plan, state.step + 1), data)
        fleet.load([state])

    def advance_until(self, stop: Stop) -> int:
        """Take the plan's steps until it ends, `stop` says so, or a loss is not finite; returns how many."""
        taken, count = 0, 1
        while taken < len(self.plan.lr) and not stop():
            count = min(count, len(self.plan.lr) - taken)
            start = perf_counter()
            self.advance(taken, count)
            taken, elapsed = taken + count, perf_counter() - start
            if not np.isfinite(self.losses[taken - count : taken]).all():
                break
            count = max(1, min(8 * count, int(count * SECONDS_A_LAUNCH / max(elapsed, 1e-6))))
        return taken

    def advance(self, first: int, count: int) -> None:
        """Take `count` steps from number `first` of the plan."""
        for at, some in self.data.pieces(self.plan, first, count):
            self.fleet.advance(at, some)
            self.data.prefetch(self.plan, at + some)
            figures = self.fleet.figures(at, some)[0]
            self.losses[at : at + some], self.accuracies[at : at + some] = figures.T

    def result(self, taken: int) -> State | None:
        """What the steps have led to; None if any of it is not finite."""
        state = self.fleet.saved()[0]
        parts = (self.losses[:taken], state.flat, state.slots, state.buffers)
        return state if all(np.isfinite(part).all() for part in parts) else None

    def replay(self, steps: int) -> State | None:
        """The result of taking the first steps again."""
        self.fleet.load([self.state])
        self.advance(0, steps)
        return self.result(steps)


def _assign(state: State, result: State, taken: int) -> None:
    state.flat[...], state.slots[...], state.buffers[...] = result.flat, result.slots, result.buffers
    state.step += taken


def _one_batch(n: int, seed: int) -> Plan:
    """A plan of all samples in one step."""
    return Plan(np.arange(n), n, np.zeros(1), seed)
