"""Networks of one architecture on the GPU: their memory, planned beforehand, and the launches that train them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from mlp_kernels.cuda import network as nw
from mlp_scratch._types import Array, IntArray
from mlp_scratch.backends import cuda_ways
from mlp_scratch.backends.base import Plan, State
from mlp_scratch.backends.cuda_data import DataSet
from mlp_scratch.backends.cuda_device import device_errors, free_memory, refuse_beyond
from mlp_scratch.backends.cuda_graph import GraphRunner
from mlp_scratch.backends.cuda_lowering import Lowered, row_in_memory, shares_of
from mlp_scratch.backends.cuda_runners import Arrays, BlockRunner, GridRunner, LaunchRunner, MatrixRunner, Runner
from mlp_scratch.program import Program


@dataclass(frozen=True)
class Course:
    """The steps that the networks of a fleet are about to take, all of them alike.

    Attributes:
        samples: how many there are in an epoch.
        batch_size: samples a step.
        orders: of the samples, (samples,) for each network; None to draw each epoch's on the GPU.
        lr: of each step, to be multiplied by a network's own.
        rates, seeds: each network's learning rate and seed.
        step, epoch: the number of the first step, counted from 1, and of the first epoch, counted from 0.
        active: whether each network takes part.
        training: whether dropout drops and batch normalisation uses the batch.
    """

    samples: int
    batch_size: int
    orders: Sequence[IntArray] | None
    lr: npt.NDArray[np.float64]
    rates: npt.NDArray[np.float64]
    seeds: Sequence[int]
    step: int
    epoch: int
    active: npt.NDArray[np.bool_]
    training: bool = True

    @classmethod
    def of_plan(cls, plan: Plan, step: int, *, training: bool = True) -> "Course":
        """That of one network in one epoch, whose samples are laid out as they are taken."""
        n, everyone = len(plan.rows), np.ones(1, np.bool_)
        return cls(n, plan.batch_size, [plan.rows], plan.lr, np.ones(1), [plan.seed], step, 0, everyone, training)


class Fleet:
    """Networks of one program in the GPU's memory.

    Args:
        program: what they all are.
        networks: how many.
        batch_size: samples of the largest batch.
        update: as in `Lowered`.
    """

    def __init__(self, program: Program, networks: int, batch_size: int, update: str = "train") -> None:
        self.program, self.networks, self.batch_size, self.update = program, networks, batch_size, update
        way = cuda_ways.way_for(program, batch_size, update, networks=networks)
        self.lowered = Lowered(program, batch_size, way.row_of, update, way.stores_gradients)
        self.own_size = (1 + self.lowered.slots) * program.n_parameters + program.n_buffers
        self.own_row = row_in_memory(self.own_size)
        self.work_row = 0 if way.name == cuda_ways.BLOCK_IN_SHARED else row_in_memory(self.lowered.work_size)
        self.work_at = networks * self.own_row  # behind what is copied back and forth
        self.steps_room = self.samples_room = 0
        self._place_static()
        refuse_beyond(self.bytes(), free_memory(), f"{networks} networks" if networks > 1 else "this model")
        with device_errors():
            self.state = cuda.device_array(max(1, self.work_at + networks * self.work_row), program.dtype)
            self.runner = runner_for(self.lowered, way, networks, self.work_at)

    def bytes(self) -> int:
        """Device memory of all networks."""
        numbers = self.networks * (self.own_row + self.work_row)
        return numbers * self.program.dtype.itemsize + self.static.nbytes

    def load(self, states: Sequence[State]) -> None:
        """Copy parameters, slots and statistics to the GPU, after `begin`."""
        host = np.zeros((self.networks, self.own_row), self.program.dtype)
        p, slots = self.program.n_parameters, self.lowered.slots
        for row, state in zip(host, states, strict=True):
            row[:p] = state.flat
            if self.update == "train":
                row[p : (1 + slots) * p] = state.slots.ravel()
            row[(1 + slots) * p : self.own_size] = state.buffers
        with device_errors():
            self.state[: self.work_at].copy_to_device(host.ravel())
            self.runner.load(self._arrays())

    def saved(self) -> list[State]:
        """Copies of parameters, slots and statistics as they are now on the GPU, their steps not counted."""
        return [self.state_of(row) for row in self.download()]

    def download(self) -> Array:
        """The same as one array, a row a network."""
        with device_errors():
            self.runner.save(self._arrays())
            host = self.state[: self.work_at].copy_to_host().reshape(self.networks, self.own_row)
        return host[:, : self.own_size]

    def state_of(self, row: Array) -> State:
        """A row of `download` as views of it."""
        p, slots = self.program.n_parameters, self.lowered.slots
        end = (1 + slots) * p
        return State(row[:p], row[end:], row[p:end].reshape(slots, p))

    def begin(self, course: Course, data: DataSet) -> None:
        """Get ready for the steps of `course` on samples of `data`."""
        self.course, self.data = course, data
        self._reserve(course)
        with device_errors():
            self.tables[: self.networks * nw.HEADER].copy_to_device(self._headers().ravel())
            if course.orders is not None:
                orders = np.zeros((self.networks, self.samples_room), np.int64)
                orders[:, : course.samples] = [data.places(order) for order in course.orders]
                self.tables[self.orders_at : self.orders_at + orders.size].copy_to_device(orders.ravel())
            self.feed[: self.figures_at].copy_to_device(self._feed())

    def advance(self, first: int, count: int) -> None:
        """Take steps `first` to `first + count` of the course; returns before they are done."""
        size, n = self.course.batch_size, self.course.samples
        sizes = np.minimum(size, n - np.arange(first, first + count) * size)
        with device_errors():
            self.runner.advance(self._arrays(), sizes, first)

    def figures(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Loss and accuracy of those steps, (networks, count, 2); waits until they are taken."""
        table = np.zeros((self.networks, self.steps_room, 2))
        start, stop = 2 * first, table.size - 2 * (self.steps_room - first - count)
        with device_errors():  # from the first network's first step to the last one's last: no others were written yet
            table.ravel()[start:stop] = self.feed[self.figures_at + start : self.figures_at + stop].copy_to_host()
        return table[:, first : first + count]

    def output(self, rows: int) -> Array:
        """The logits of the batch that was taken last, (rows, K), in inference."""
        last = self.lowered.stages[-1]
        row, start = int(last[nw.ROW]), self.work_at + int(last[nw.OUTPUT])
        with device_errors():
            flat = self.state[start : start + rows * row].copy_to_host()
        return flat.reshape(rows, row)[:, : last[nw.N_OUT]]

    def _arrays(self) -> Arrays:
        return self.tables, self.data.array, self.feed, self.state

    def _place_static(self) -> None:
        """Build the tables that no call changes, and note where things begin."""
        lowered, base = self.lowered, self.networks * nw.HEADER
        parts = [lowered.stages, lowered.ops, lowered.phases, lowered.places]
        starts = base + np.cumsum([0, *(part.size for part in parts)])
        self.static_at = dict(zip((nw.STAGES, nw.OPS, nw.PHASES, nw.PLACES), starts, strict=False))
        self.orders_at = int(starts[-1])
        self.static = np.concatenate([part.ravel() for part in parts])
        self.constants = lowered.constants().astype(self.program.dtype)

    def _reserve(self, course: Course) -> None:
        """Room in `tables` and `feed` for so many samples and steps."""
        samples, steps, weighted = course.samples, len(course.lr), self.data.samples.weights is not None
        if samples <= self.samples_room and steps <= self.steps_room:
            return
        samples, steps = max(samples, self.samples_room), max(steps, self.steps_room)
        self.samples_room = self.steps_room = 0  # until there is room: an allocation may fail
        orders = self.networks * samples
        tables = self.orders_at + orders
        self.lr_at = self.constants.size + steps * nw.HYPER_COLUMNS
        self.shares_at = self.lr_at + self.networks
        self.figures_at = self.shares_at + (orders if weighted else samples)
        feed = self.figures_at + self.networks * steps * 2
        self.tables: Any = None
        self.feed: Any = None  # so that their memory can be given again
        refuse_beyond(tables * 8 + feed * self.program.dtype.itemsize, free_memory(), "the order of the samples")
        with device_errors():
            self.tables, self.feed = cuda.device_array(tables, np.int64), cuda.device_array(feed, self.program.dtype)
            self.tables[self.networks * nw.HEADER : self.orders_at].copy_to_device(self.static)
        self.samples_room, self.steps_room = samples, steps

    def _headers(self) -> npt.NDArray[np.int64]:
        """The header of each network."""
        course, k = self.course, np.arange(self.networks)
        headers = np.tile(self.lowered.header(training=course.training), (self.networks, 1))
        for column, start in self.static_at.items():
            headers[:, column] = start
        headers[:, nw.BATCH], headers[:, nw.STEP], headers[:, nw.EPOCH] = course.batch_size, course.step, course.epoch
        headers[:, nw.SAMPLES] = course.samples * course.active
        headers[:, nw.SEED] = np.array([seed & 0xFFFFFFFFFFFFFFFF for seed in course.seeds], np.uint64).view(np.int64)
        headers[:, nw.ORDER] = self.orders_at + k * self.samples_room
        headers[:, nw.SHUFFLES] = course.orders is None
        headers[:, nw.TARGETS], headers[:, nw.N_TARGETS] = self.data.targets_at, self.data.n_targets
        headers[:, nw.HYPER], headers[:, nw.LR] = self.constants.size, self.lr_at + k
        weighted = self.data.samples.weights is not None
        headers[:, nw.SHARES] = self.shares_at + (k * self.samples_room if weighted else 0)
        headers[:, nw.FIGURES] = self.figures_at + 2 * k * self.steps_room
        headers[:, nw.STATE] = k * self.own_row
        headers[:, nw.BUFFERS] = headers[:, nw.STATE] + self.own_size - self.program.n_buffers
        headers[:, nw.WORK] = self.work_at + k * self.work_row
        return headers

    def _feed(self) -> Array:
        """What `feed` holds before the figures."""
        course, dtype, weights = self.course, self.program.dtype, self.data.samples.weights
        feed = np.zeros(self.figures_at, dtype)
        feed[: self.constants.size] = self.constants
        hyper = self.lowered.hyper_parameters(course.lr, course.step).ravel()
        feed[self.constants.size : self.constants.size + hyper.size] = hyper
        feed[self.lr_at : self.lr_at + self.networks] = course.rates
        orders = [np.arange(course.samples)] if weights is None else course.orders
        assert orders is not None  # weights belong to samples whose order is known
        for k, order in enumerate(orders):
            at = self.shares_at + k * self.samples_room
            feed[at : at + course.samples] = shares_of(weights, order, course.batch_size, dtype)
        return feed


def runner_for(lowered: Lowered, way: cuda_ways.Way, networks: int, work_at: int) -> Runner:
    """The runner of a way."""
    if way.name in (cuda_ways.BLOCK_IN_SHARED, cuda_ways.BLOCK):
        return BlockRunner(lowered, way, networks)
    if way.stores_gradients:
        launcher = MatrixRunner(lowered, way, work_at)
        return GraphRunner(launcher) if way.name == cuda_ways.GRAPH else launcher
    return GridRunner(lowered, way) if way.name == cuda_ways.GRID else LaunchRunner(lowered, way)
