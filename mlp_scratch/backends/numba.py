"""The compiled CPU backend: many steps in one call, on tiled kernels, with the GIL released.

A call copies the model's flat vectors into panels, trains on those, and copies them back at the end. So the flat
vectors are the last state known to be finite until then: when a step diverges, the steps before it are taken again
from there, and end in the same bits. Nothing is checked in between but the losses.
"""

import os
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import NamedTuple, Self

import numpy as np

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.announcing import announcing
from mlp_kernels.cpu.gather import describe, describe_weights
from mlp_kernels.cpu.training_loop import train
from mlp_kernels.cpu.weights import all_finite
from mlp_scratch._types import Array, IntArray
from mlp_scratch.backends.base import Plan, Records, Samples, State, Stop
from mlp_scratch.backends.divergence import divergence, last_good_step
from mlp_scratch.backends.numba_calls import is_compiled, is_readable, on_threads
from mlp_scratch.backends.numba_inference import BATCH, FewSamples, many_logits, most_samples
from mlp_scratch.backends.numba_tables import Tables
from mlp_scratch.backends.refusals import check_statistics, refusal
from mlp_scratch.layers import Dense
from mlp_scratch.machine import usable_cores
from mlp_scratch.program import Program

SECONDS_A_CALL = 0.05
"""The compiled loop is handed as many steps at a time as take about this long; then `stop` is asked."""

FLOPS_FOR_THREADS = 650e3
"""The work of a step, a multiply-add counted as two, from which on a second thread pays."""

FEW_WORK_FOR_THREADS = 27e6
"""The same for a few samples, counted as weights · (samples + 8): to turn a weight in registers takes as long as to
multiply eight samples by it. Starting a thread takes as long as reading three million weights for one."""

NUMBERS_FOR_THREADS = 1_000_000
"""How many must be brought into panels for a second thread to pay: one core can't wait for as much memory at once as
two, but a thread must be started."""


class NumbaBackend:
    """Lowers a program to tables and runs the compiled loop over them; for one caller at a time.

    Args:
        threads: at most so many; None takes the cores this process may use, or `NUMBA_NUM_THREADS` if that is less.
    """

    name = "numba"

    def __init__(self, threads: int | None = None) -> None:
        self._most_threads = threads
        self._kept: tuple[Tables, nw.Memory] | None = None
        self._order: _Order | None = None
        self._pace = 1

    @property
    def _threads(self) -> int:
        most = usable_threads()
        return min(self._most_threads or most, most)

    def refusal(self, program: Program) -> str:
        return program.keep("refusal", lambda: refusal(program))

    def logits(self, program: Program, state: State, X: Array) -> Array:
        if len(X) <= most_samples(program.dtype):
            work = program.n_parameters * (len(X) + 8)
            threads = self._threads if work >= FEW_WORK_FOR_THREADS else 1
            few = program.keep(("few samples", threads), lambda: FewSamples(program, threads))
            return few.logits(state, X)
        # Panels that the next call of `train` would load anew: scoring in the middle of a fit needs no others.
        packed = self._kept[1].packed[:1] if self._kept and self._kept[0].program is program else None
        return many_logits(program, state, X, self._threads_for(program, min(BATCH, len(X))), packed)

    def loss_and_gradient(
        self, program: Program, state: State, samples: Samples, *, seed: int, step: int, training: bool
    ) -> tuple[float, Array]:
        n = len(samples.X)
        if training:
            check_statistics(program, n)
        tables = Tables(program, n, self._threads_for(program, n), gradient=True, labels=_are_labels(samples))
        plan = Plan(np.arange(n), n, np.zeros(1), seed)
        run = _Run(tables, tables.memory(), samples, plan, _Order.of(plan), step)
        run.load(State(state.flat, state.buffers, np.zeros((1, program.n_parameters), program.dtype)))
        run.advance(0, 1, training=training)
        gradient = np.empty(program.n_parameters, program.dtype)
        tables.layout.unpack(gradient, run.memory.packed[1])
        return float(run.losses[0]), gradient

    def train(self, program: Program, state: State, samples: Samples, plan: Plan, records: Records, stop: Stop) -> int:
        size = min(plan.batch_size, len(plan.rows))
        if self._order is None or not self._order.serves(plan):
            self._order = _Order.of(plan)
        workspace = self._workspace(program, size, _are_labels(samples))
        run = _Run(*workspace, samples, plan, self._order, state.step + 1)
        run.load(state)
        taken, self._pace = run.advance_until(stop, self._pace)
        if run.is_finite(taken):
            run.save(state, taken)
            records.losses[:taken], records.accuracies[:taken] = run.losses[:taken], run.accuracies[:taken]
            return taken
        self._kept = None  # NaN may have got into the padding
        run.memory = run.tables.memory()
        good = run.last_good_step(state, taken)
        records.losses[:good], records.accuracies[:good] = run.losses[:good], run.accuracies[:good]
        run.save(state, good)
        raise divergence(program, state, samples, plan, good)

    def _workspace(self, program: Program, batch_size: int, labels: bool) -> tuple[Tables, nw.Memory]:
        """Tables and memory, those of the last call where they fit: a fit makes many calls with the same program."""
        kept = self._kept and self._kept[0]
        if not (kept and kept.program is program and (kept.batch_size, kept.labels) == (batch_size, labels)):
            tables = Tables(program, batch_size, self._threads_for(program, batch_size), labels=labels)
            self._kept, self._pace = (tables, tables.memory()), 1
        assert self._kept
        return self._kept

    def _threads_for(self, program: Program, batch_size: int) -> int:
        """How many threads a step is worth; the choice changes no number."""
        weights = sum(op.n_in * op.n_out for op in program.operations if isinstance(op.layer, Dense))
        return self._threads if 6 * batch_size * weights >= FLOPS_FOR_THREADS else 1


class _Order(NamedTuple):
    """Where the loop draws the orders of epochs: kept from call to call, or each would draw that of its first anew.

    Attributes:
        rows: the samples.
        seed: that the order is drawn from; None for that of `rows`.
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


class _Run:
    """A call of `train` on its way: the panels it works on and the steps it has taken."""

    def __init__(
        self, tables: Tables, memory: nw.Memory, samples: Samples, plan: Plan, order: _Order, first_step: int
    ) -> None:
        self.tables, self.memory = tables, memory
        self.samples, self.plan, self.first_step = samples, plan, first_step
        self.losses, self.accuracies = np.empty(len(plan.lr)), np.empty(len(plan.lr))
        self._whole = self._batches(samples, plan, order) if is_readable(samples.X) else None

    def load(self, state: State) -> None:
        """Begin from `state`."""
        self.memory.buffers[...] = state.buffers
        self._move(self.tables.layout.pack, state)

    def save(self, state: State, taken: int) -> None:
        """Write what `taken` steps have led to into `state`."""
        self._move(self.tables.layout.unpack, state)
        state.buffers[...] = self.memory.buffers
        state.step += taken

    def _move(self, move: Callable[[Array, Array, int, int], None], state: State) -> None:
        """Pack or unpack all vectors of `state`."""

        def work(thread: int, threads: int) -> None:
            for vector, row in zip((state.flat, *state.slots), self.memory.packed, strict=True):
                move(vector, row, thread, threads)

        threads = self.tables.threads if self.memory.packed.size >= NUMBERS_FOR_THREADS else 1
        on_threads(work, threads, self.memory)

    def advance_until(self, stop: Stop, pace: int) -> tuple[int, int]:
        """Take the plan's steps until it ends, `stop` says so, or a loss is not finite.

        `pace` is how many steps to begin with. Returns how many were taken, and the pace that has turned out right.
        """
        taken = 0
        while taken < len(self.plan.lr) and not stop():
            count = min(pace, len(self.plan.lr) - taken)
            start = perf_counter()
            self.advance(taken, count)
            taken, elapsed = taken + count, perf_counter() - start
            if not np.isfinite(self.losses[taken - count : taken]).all():
                break
            right = int(count * SECONDS_A_CALL / max(elapsed, 1e-6))
            pace = max(1, min(8 * count, right)) if count == pace else max(1, min(pace, right))
        return taken, pace

    def advance(self, first: int, count: int, *, training: bool = True) -> None:
        """Take `count` steps from number `first` of the plan."""
        if self._whole is not None:
            self._take(self._whole, 0, first, count, training)
            return
        for i in range(first, first + count):  # of a type that the kernels don't know: batch by batch through NumPy
            batch = self.samples.batch(self._rows(i), self.tables.program.dtype)
            one = Plan(np.arange(len(batch.X)), len(batch.X), self.plan.lr[i : i + 1], self.plan.seed)
            self._take(self._batches(batch, one, _Order.of(one), i), i, 0, 1, training)

    def _rows(self, i: int) -> IntArray:
        """The samples of step number `i`."""
        return next(self.plan.part(i, 1).batches())

    def _batches(self, samples: Samples, plan: Plan, order: _Order, skipped: int = 0) -> nw.Batches:
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

    def _take(self, batches: nw.Batches, skipped: int, first: int, count: int, training: bool) -> None:
        """Steps `first` to `first + count` of `batches`, which begin at step `skipped` of the plan."""

        def work(first: int, count: int, thread: int, threads: int) -> None:
            tables, memory, figures = self.tables, self.memory, (self.losses[skipped:], self.accuracies[skipped:])
            train(
                tables.tile, tables.networks[thread], memory, batches, first, count, training, *figures, thread, threads
            )

        if not is_compiled(train, self.tables.tile):
            with announcing(f"the training loop for {self.tables.program.dtype}"):
                work(0, 0, 0, 1)
        on_threads(partial(work, first, count), self.tables.threads, self.memory)

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

    def last_good_step(self, state: State, taken: int) -> int:
        """How many steps end in finite numbers, and the panels as they are after those."""

        def is_good_after(steps: int) -> bool:
            self.load(state)
            self.advance(0, steps)
            return self.is_finite(steps)

        good = last_good_step(is_good_after, self.losses[:taken])
        self.load(state)
        self.advance(0, good)
        return good


def usable_threads() -> int:
    """The cores that this process may use, or `NUMBA_NUM_THREADS` if that is less."""
    cores, limit = usable_cores(), os.environ.get("NUMBA_NUM_THREADS", "")
    return max(1, min(cores, int(limit))) if limit.isdigit() else cores


def _are_labels(samples: Samples) -> bool:
    """Whether the targets are class labels: no loss has whole numbers but as those."""
    return samples.targets.dtype == np.int64
