"""Networks of one architecture on the GPU: their memory, planned beforehand, and the launches that train them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from mlp_kernels.cuda import network as nw
from mlp_kernels.cuda import phases
from mlp_kernels.cuda.block_network import block_network_of
from mlp_kernels.cuda.device import IS_SIMULATOR, element_of
from mlp_kernels.cuda.launched_network import launched_network_of
from mlp_scratch._types import Array
from mlp_scratch.backends.base import Plan, State
from mlp_scratch.backends.cuda_data import DataSet
from mlp_scratch.backends.cuda_device import device_errors, free_memory, refuse_beyond
from mlp_scratch.backends.cuda_lowering import Lowered, row_in_memory, row_in_shared, shares_of
from mlp_scratch.layers import Dense
from mlp_scratch.program import Program

THREADS = 4 if IS_SIMULATOR else 128
"""Threads of a block. The simulator gives each an operating-system thread, so there are few of them there."""

SHARED_BYTES = 48 * 1024
"""Shared memory that a block gets without asking the driver for more."""

ONE_BLOCK_LIMIT = 1_000_000
"""Multiply-adds of a step up to which one block takes it alone. Above, a launch for each phase costs less than the
multiprocessors that stay idle. Counted on paper, not measured yet."""

BLOCKS_AT_MOST = 1024
"""Blocks of a launch; more work than their threads have is taken in turns."""


@dataclass(frozen=True)
class Way:
    """How the steps of a network are run.

    Attributes:
        name: "block in shared memory", "block" or "launches".
        side: of the tiles of a product that a thread holds.
    """

    name: str
    side: int

    def row_of(self, width: int) -> int:
        """The distance between the rows of a matrix."""
        return row_in_shared(width) if self.name == "block in shared memory" else row_in_memory(width)


def way_for(program: Program, batch_size: int, update: str, *, networks: int = 1) -> Way:
    """The fastest way to run a program, by its size; each of several networks gets one block."""
    weights = sum(op.n_in * op.n_out for op in program.operations if isinstance(op.layer, Dense))
    narrowest = min((op.n_out for op in program.operations), default=1)
    side = 1 if batch_size * narrowest < 4 * THREADS else 2
    shared = Way("block in shared memory", side)
    if update == "infer" or (networks == 1 and 3 * batch_size * weights > ONE_BLOCK_LIMIT):
        return Way("launches", 4)
    lowered = Lowered(program, batch_size, shared.row_of, update)
    fits = lowered.work_size * program.dtype.itemsize <= SHARED_BYTES
    return shared if fits else Way("block", side)


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
        self.way = way_for(program, batch_size, update, networks=networks)
        self.lowered = Lowered(program, batch_size, self.way.row_of, update)
        self.steps_room = self.samples_room = 0
        self._place_static()
        refuse_beyond(self.bytes(), free_memory(), f"{networks} networks" if networks > 1 else "this model")
        with device_errors():
            self.state = cuda.device_array(max(1, networks * self.state_size), program.dtype)
            self.kernels = self._kernels()

    @property
    def state_size(self) -> int:
        """Elements of `state` that a network has: parameters and slots, statistics, and `work` but in shared memory."""
        lowered, own = self.lowered, (1 + self.lowered.slots) * self.program.n_parameters + self.program.n_buffers
        return row_in_memory(own) + (0 if self.way.name == "block in shared memory" else row_in_memory(lowered.work_size))

    def bytes(self) -> int:
        """Device memory of all networks."""
        return self.networks * self.state_size * self.program.dtype.itemsize + self.static.nbytes

    def load(self, states: Sequence[State]) -> None:
        """Copy parameters, slots and statistics to the GPU, after `begin`."""
        host = np.zeros((self.networks, self.state_size), self.program.dtype)
        p, slots = self.program.n_parameters, self.lowered.slots
        for row, state in zip(host, states, strict=True):
            row[:p] = state.flat
            if self.update == "train":
                row[p : (1 + slots) * p] = state.slots.ravel()
            row[(1 + slots) * p : (1 + slots) * p + self.program.n_buffers] = state.buffers
        with device_errors():
            self.state.copy_to_device(host.ravel())
            if self.way.name == "launches":
                self._launch_all("load")

    def saved(self) -> list[State]:
        """Copies of parameters, slots and statistics as they are now on the GPU."""
        with device_errors():
            if self.way.name == "launches":
                self._launch_all("save")
            host = self.state.copy_to_host().reshape(self.networks, self.state_size)
        p, slots = self.program.n_parameters, self.lowered.slots
        end = (1 + slots) * p
        return [
            State(row[:p], row[end : end + self.program.n_buffers], row[p:end].reshape(slots, p)) for row in host
        ]

    def begin(self, plans: Sequence[Plan], data: DataSet, first_steps: Sequence[int], *, training: bool = True) -> None:
        """Get ready for the steps of these plans, one for each network, on samples of `data`."""
        samples, steps = max(len(plan.order) for plan in plans), max(len(plan.lr) for plan in plans)
        self.plans, self.data, self.steps = list(plans), data, steps
        self._reserve(samples, steps)
        dtype, weights = self.program.dtype, data.samples.weights
        feed = np.zeros(self.figures_at, dtype)
        feed[: self.static_feed.size] = self.static_feed
        orders = np.zeros((self.networks, self.samples_room), np.int64)
        shares = None if weights is not None else shares_of(None, plans[0].order, plans[0].batch_size, dtype)
        for k, (plan, step, order) in enumerate(zip(plans, first_steps, orders, strict=True)):
            header = self.headers[k]
            header[:] = self.lowered.header(plan, step, training=training)
            self._point(header, k)
            order[: len(plan.order)] = data.places(plan.order)
            hyper = self.lowered.hyper_parameters(plan.lr, step).astype(dtype).ravel()
            feed[header[nw.HYPER] : header[nw.HYPER] + hyper.size] = hyper
            own = shares_of(weights, plan.order, plan.batch_size, dtype) if shares is None else shares
            feed[header[nw.SHARES] : header[nw.SHARES] + own.size] = own
        with device_errors():
            self.tables[: self.headers.size].copy_to_device(self.headers.ravel())
            self.tables[self.orders_at :].copy_to_device(orders.ravel())
            self.feed[: self.figures_at].copy_to_device(feed)

    def advance(self, first: int, count: int) -> None:
        """Take steps `first` to `first + count` of the plans; returns before they are done."""
        arrays = (self.tables, self.data.array, self.feed, self.state)
        with device_errors():
            if self.way.name == "launches":
                for i in range(first, first + count):
                    n = min(self.batch_size, len(self.plans[0].order) - i * self.batch_size)
                    for kind, s in self.lowered.phases.tolist():
                        self.kernels["phase"][self._blocks(kind, s, n), THREADS](*arrays, kind, s, i)
                return
            shared = self.lowered.work_size * self.program.dtype.itemsize
            shared = shared if self.way.name == "block in shared memory" else 0
            self.kernels["block"][self.networks, THREADS, 0, shared](*arrays, first, count)

    def figures(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Loss and accuracy of those steps, (networks, count, 2); waits until they are taken."""
        with device_errors():
            flat = self.feed[self.figures_at :].copy_to_host()
        table = flat.reshape(self.networks, self.steps_room, 2)
        return table[:, first : first + count].astype(np.float64)

    def output(self, rows: int) -> Array:
        """The logits of the batch that was taken last, (rows, K), in inference."""
        last = self.lowered.stages[-1]
        row, start = int(last[nw.ROW]), int(self.headers[0, nw.WORK] + last[nw.OUTPUT])
        with device_errors():
            flat = self.state[start : start + rows * row].copy_to_host()
        return flat.reshape(rows, row)[:, : last[nw.N_OUT]]

    def _kernels(self) -> dict[str, Any]:
        element = element_of(self.program.dtype)
        if self.way.name == "launches":
            return dict(zip(("load", "save", "phase"), launched_network_of(element, self.way.side), strict=True))
        in_shared = self.way.name == "block in shared memory"
        return {"block": block_network_of(element, self.way.side, in_shared)}

    def _launch_all(self, kernel: str) -> None:
        blocks = min(BLOCKS_AT_MOST, -(-self.program.n_parameters // THREADS) or 1)
        self.kernels[kernel][blocks, THREADS](self.tables, self.state, self.feed, self.state)

    def _blocks(self, kind: int, s: int, n: int) -> int:
        """How many blocks find work in a phase."""
        stages, side = self.lowered.stages, self.way.side
        width, n_in = int(stages[s, nw.N_OUT]), int(stages[s, nw.N_IN])

        def tiles(rows: int, columns: int) -> int:
            return -(-rows // side) * -(-columns // side)

        above = stages[min(s + 1, len(stages) - 1)]
        learning = tiles(int(above[nw.N_OUT]), int(above[nw.N_IN]))
        items = {
            phases.GATHER: n * width,
            phases.DENSE: tiles(n, width),
            phases.LOSS: n,
            phases.BACK: max(tiles(n, n_in), learning),
            phases.LEARN: learning,
            phases.FINISH: learning,
        }.get(kind, width)
        return max(1, min(BLOCKS_AT_MOST, -(-items // THREADS)))

    def _place_static(self) -> None:
        """Build the tables that no call changes, and note where things begin."""
        lowered, base = self.lowered, self.networks * nw.HEADER
        parts = [lowered.stages, lowered.ops, lowered.phases, lowered.places]
        starts = base + np.cumsum([0, *(part.size for part in parts)])
        self.static_at = dict(zip((nw.STAGES, nw.OPS, nw.PHASES, nw.PLACES), starts, strict=False))
        self.orders_at = int(starts[-1])
        self.static = np.concatenate([part.ravel() for part in parts])
        self.static_feed = lowered.constants().astype(self.program.dtype)
        self.headers = np.zeros((self.networks, nw.HEADER), np.int64)

    def _point(self, header: npt.NDArray[np.int64], k: int) -> None:
        """What of network k's header says where something lies."""
        own = (1 + self.lowered.slots) * self.program.n_parameters
        for column, start in self.static_at.items():
            header[column] = start
        header[nw.ORDER] = self.orders_at + k * self.samples_room
        header[nw.X], header[nw.TARGETS], header[nw.N_TARGETS] = 0, self.data.targets_at, self.data.n_targets
        header[nw.CONSTANTS] = 0
        header[nw.HYPER] = self.static_feed.size + k * self.steps_room * nw.HYPER_COLUMNS
        weighted = self.data.samples.weights is not None
        shares_at = self.static_feed.size + self.networks * self.steps_room * nw.HYPER_COLUMNS
        header[nw.SHARES] = shares_at + (k * self.samples_room if weighted else 0)
        header[nw.FIGURES] = self.figures_at + 2 * k * self.steps_room
        header[nw.STATE] = k * self.state_size
        header[nw.BUFFERS] = header[nw.STATE] + own
        header[nw.WORK] = header[nw.STATE] + row_in_memory(own + self.program.n_buffers)

    def _reserve(self, samples: int, steps: int) -> None:
        """Room in `tables` and `feed` for plans of so many samples and steps."""
        if samples <= self.samples_room and steps <= self.steps_room:
            return
        self.samples_room, self.steps_room = max(samples, self.samples_room), max(steps, self.steps_room)
        tables = self.orders_at + self.networks * self.samples_room
        self.figures_at = self.static_feed.size + self.networks * (
            self.steps_room * nw.HYPER_COLUMNS + self.samples_room
        )
        feed = self.figures_at + self.networks * self.steps_room * 2
        self.tables = self.feed = None  # so that their memory can be given again
        refuse_beyond(tables * 8 + feed * self.program.dtype.itemsize, free_memory(), "the order of the samples")
        with device_errors():
            self.tables, self.feed = cuda.device_array(tables, np.int64), cuda.device_array(feed, self.program.dtype)
            self.tables[self.networks * nw.HEADER : self.orders_at].copy_to_device(self.static)
