"""A call of the compiled loop on its way: what it works on, the steps it takes, and the way back from a bad one."""

from functools import partial
from time import perf_counter
from typing import NamedTuple, Self

import numpy as np

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.gather import describe, describe_weights
from mlp_kernels.cpu.safe_steps import PARAMETERS, largest
from mlp_kernels.cpu.training_loop import train
from mlp_kernels.cpu.weights import all_finite
from mlp_scratch._types import Array, IntArray
from mlp_scratch.backends.base import Plan, Records, Samples, State, Stop
from mlp_scratch.backends.divergence import last_good_step
from mlp_scratch.backends.numba_calls import is_readable, on_threads, share_out
from mlp_scratch.backends.numba_pace import Pace
from mlp_scratch.backends.numba_tables import Tables

NUMBERS_FOR_THREADS = 1_000_000
"""How many must be brought into panels for a second thread to pay: one core can't wait for as much memory at once as
two, but a thread must be started."""


class Order(NamedTuple):
    """Where the loop keeps the order of an epoch, so that a call which begins within one need not draw it again.

    Attributes:
        rows: the samples.
        seed: that orders are drawn from; None where they are taken as `rows` has them.
        order: the samples in the order of an epoch.
        epoch: its number, int64 (1,), or -1.
    """

    rows: IntArray
    seed: int | None
    order: IntArray
    epoch: IntArray

    @classmethod
    def of(cls, plan: Plan) -> Self:
        rows = np.ascontiguousarray(plan.rows)
        if not plan.shuffle:
            return cls(rows, None, rows, np.full(1, -1))
        return cls(rows, plan.seed, np.empty_like(rows), np.full(1, -1))

    def serves(self, plan: Plan) -> bool:
        """Whether the orders are those of another plan as well."""
        return self.rows is plan.rows and self.seed == (plan.seed if plan.shuffle else None)


class CompiledRun:
    """A call of `train` on its way: the memory it works on and the steps it has taken.

    Attributes:
        taken: how many steps.
        refused: whether the next one was not taken because it might not end in finite numbers: where weights stay in
            the model's own vectors.
    """

    def __init__(
        self, tables: Tables, memory: nw.Memory, samples: Samples, plan: Plan, order: Order, first_step: int
    ) -> None:
        self.tables, self.memory = tables, memory
        self.samples, self.plan, self.first_step = samples, plan, first_step
        self.losses, self.accuracies = np.empty(len(plan.lr)), np.empty(len(plan.lr))
        self.taken, self.refused = 0, False
        # For panels that are turned where they lie: had now, since the way back from there must not fail.
        self._room = np.empty((tables.threads, tables.layout.longest), tables.program.dtype)
        self._whole = self._batches(samples, plan, order) if is_readable(samples.X) else None

    def load(self, state: State) -> None:
        """Begin from `state`."""
        if self.tables.in_place:
            self.tables.work_on(state, self.memory)
            self.memory.bounds[PARAMETERS : PARAMETERS + 1 + len(state.slots)] = self._largest(state)
        self.memory.buffers[...] = self.memory.before[...] = state.buffers
        self._move(state, back=False)

    def save(self, state: State) -> None:
        """Write what the steps have led to into `state`."""
        self._move(state, back=True)
        state.buffers[...] = self.memory.buffers
        state.step += self.taken

    def write_down(self, records: Records) -> None:
        """The figures of the steps."""
        taken = self.taken
        records.losses[:taken], records.accuracies[:taken] = self.losses[:taken], self.accuracies[:taken]

    def _move(self, state: State, *, back: bool) -> None:
        """All vectors of `state` to where the kernels work on them, or `back`."""
        layout = self.tables.layout

        def work(thread: int, threads: int) -> None:
            for vector, row in zip((state.flat, *state.slots), self.memory.packed, strict=True):
                (layout.unpack if back else layout.pack)(vector, row, thread, threads)
                if layout.longest:
                    layout.turn(vector, self._room[thread], back, thread, threads)

        share_out(work, self._threads_to_move(state))

    def _largest(self, state: State) -> Array:
        """The largest magnitude in each vector of `state`; infinity where not all is finite."""
        found = np.zeros((self.tables.threads, 1 + len(state.slots)))

        def work(thread: int, threads: int) -> None:
            found[thread] = [largest(vector, thread, threads) for vector in (state.flat, *state.slots)]

        share_out(work, self._threads_to_move(state))
        return found.max(axis=0)

    def _threads_to_move(self, state: State) -> int:
        return self.tables.threads if state.flat.size + state.slots.size >= NUMBERS_FOR_THREADS else 1

    def advance_until(self, stop: Stop, pace: Pace, end: int | None = None) -> None:
        """Take the plan's steps, at most `end`, until `stop` says so, a loss is not finite, or a step is refused."""
        end = len(self.plan.lr) if end is None else end
        while self.taken < end and not stop():
            steps, threads = pace.next_call()
            first, count = self.taken, min(steps, end - self.taken)
            start = perf_counter()
            self.taken += self.advance(first, count, threads=threads)
            elapsed = perf_counter() - start
            self.refused = self.taken < first + count
            if self.refused or not np.isfinite(self.losses[first : self.taken]).all():
                break
            pace.learn(count, threads, elapsed)

    def advance(self, first: int, count: int, *, training: bool = True, threads: int | None = None) -> int:
        """Take `count` steps from number `first` of the plan, on `threads` or all; returns how many were taken."""
        threads = self.tables.threads if threads is None else threads
        if self._whole is not None:
            return self._take(self._whole, 0, first, count, training, threads)
        for i in range(first, first + count):  # of a type that the kernels don't know: batch by batch through NumPy
            batch = self.samples.batch(self._rows(i), self.tables.program.dtype)
            one = Plan(np.arange(len(batch.X)), len(batch.X), self.plan.lr[i : i + 1], self.plan.seed)
            if not self._take(self._batches(batch, one, Order.of(one), i), i, 0, 1, training, threads):
                return i - first
        return count

    def _rows(self, i: int) -> IntArray:
        """The samples of step number `i`."""
        return next(self.plan.part(i, 1).batches())

    def _batches(self, samples: Samples, plan: Plan, order: Order, skipped: int = 0) -> nw.Batches:
        """The samples as `plan` takes them, which begins at step `skipped` of the whole plan."""
        return nw.Batches(
            describe(samples.X, self.tables.tile),
            describe(samples.targets, self.tables.tile),
            describe_weights(samples.weights),
            order.rows,
            order.order,
            order.epoch,
            order.seed is not None,
            plan.batch_size,
            np.ascontiguousarray(plan.lr),
            np.uint64(plan.seed & 0xFFFFFFFFFFFFFFFF),
            self.first_step + skipped,
            plan.epoch,
            plan.position,
        )

    def _take(self, batches: nw.Batches, skipped: int, first: int, count: int, training: bool, threads: int) -> int:
        """Steps `first` to `first + count` of `batches`, which begin at step `skipped` of the plan.

        Returns how many were taken.
        """

        def work(first: int, count: int, thread: int, threads: int) -> int:
            tables, memory, figures = self.tables, self.memory, (self.losses[skipped:], self.accuracies[skipped:])
            return train(
                tables.tile, tables.networks[thread], memory, batches, first, count, training, *figures, thread, threads
            )

        return on_threads(partial(work, first, count), threads, self.memory)

    def is_finite(self, taken: int) -> bool:
        """Whether all losses so far are finite, and all that has been learned."""
        if not (np.isfinite(self.losses[:taken]).all() and np.isfinite(self.memory.buffers).all()):
            return False
        if all_finite(self.memory.packed.reshape(-1)):
            return True
        scratch = np.empty(self.tables.program.n_parameters, self.tables.program.dtype)
        for row in self.memory.packed:  # padding is no parameter
            self.tables.layout.unpack(scratch, row)
            if not all_finite(scratch):
                return False
        return True

    def return_to_last_good_step(self, state: State, stop: Stop, pace: Pace) -> None:
        """Take only as many steps as end in finite numbers, from `state`, which is that before the first.

        They may be fewer once `stop` says so.
        """

        def take_again(steps: int) -> None:
            self.load(state)
            self.taken = 0
            self.advance_until(stop, pace, steps)

        def is_good_after(steps: int) -> bool:
            take_again(steps)
            return self.taken == steps and self.is_finite(steps)

        good = last_good_step(is_good_after, self.losses[: self.taken])
        if self.taken != good:
            take_again(good)
