"""The compiled CPU backend: many steps in one call, on tiled kernels, with the GIL released.

A call copies the model's flat vectors into panels, trains on those, and copies them back at the end. So the flat
vectors are the last state known to be finite until then: when a step diverges, the steps before it are taken again
from there, and end in the same bits. Nothing is checked in between but the losses.

A network too large to be copied is trained where its vectors lie, in panels until the call ends, and no step is begun
that might not end in finite numbers (`mlp_kernels.cpu.safe_steps`). Such a step, which hardly ever comes but before
training diverges, is taken on a copy after all.
"""

from collections.abc import Hashable
from contextlib import suppress
from functools import partial

import numpy as np

from mlp_kernels.cpu import network as nw
from mlp_kernels.cpu.compilers import Abandoned, unless
from mlp_scratch._types import Array
from mlp_scratch.backends.base import Plan, Records, Samples, State, Stop
from mlp_scratch.backends.divergence import divergence
from mlp_scratch.backends.numba_calls import out_of_reach
from mlp_scratch.backends.numba_cores import usable_threads
from mlp_scratch.backends.numba_inference import BATCH, FewSamples, many_logits, most_samples
from mlp_scratch.backends.numba_pace import Pace
from mlp_scratch.backends.numba_run import CompiledRun, Order
from mlp_scratch.backends.numba_tables import Tables, is_wide
from mlp_scratch.backends.refusals import check_statistics, constants, refusal
from mlp_scratch.layers import Dense
from mlp_scratch.program import Program

FLOPS_FOR_THREADS = 650e3
"""The work of a step, a multiply-add counted as two, from which on a second thread pays."""

FEW_WORK_FOR_THREADS = 27e6
"""The same for a few samples, counted as weights · (samples + 8): to turn a weight in registers takes as long as to
multiply eight samples by it. Starting a thread takes as long as reading three million weights for one."""


class NumbaBackend:
    """Lowers a program to tables and runs the compiled loop over them; for one caller at a time.

    Args:
        threads: at most so many; None takes the cores this process may use, or `NUMBA_NUM_THREADS` if that is less.
    """

    name = "numba"

    def __init__(self, threads: int | None = None) -> None:
        self._most_threads = threads
        self._kept: tuple[Tables, nw.Memory] | None = None
        self._order: Order | None = None
        self._pace = Pace(1)
        self._read: tuple[Program, Hashable] | None = None

    @property
    def _threads(self) -> int:
        most = usable_threads()
        return min(self._most_threads or most, most)

    def refusal(self, program: Program) -> str:
        return program.keep(("refusal", self._constants(program)), lambda: refusal(program))

    def logits(self, program: Program, state: State, X: Array) -> Array:
        few, packed = most_samples(program.dtype), None
        if len(X) <= few:
            return self._few_logits(program, state, X)
        if self._kept and self._kept[0].program is program:  # in the middle of a fit
            if self._kept[0].in_place:  # with no room for a copy
                return np.concatenate(
                    [self._few_logits(program, state, X[first : first + few]) for first in range(0, len(X), few)]
                )
            packed = self._kept[1].packed[:1]  # panels that the next call of `train` loads anew
        threads = self._threads_for(program, min(BATCH, len(X)))
        return many_logits(program, state, X, threads, self._constants(program), packed)

    def _few_logits(self, program: Program, state: State, X: Array) -> Array:
        work = program.n_parameters * (len(X) + 8)
        threads = self._threads if work >= FEW_WORK_FOR_THREADS else 1
        key = "few samples", threads, self._constants(program)
        return program.keep(key, lambda: FewSamples(program, threads)).logits(state, X)

    def loss_and_gradient(
        self, program: Program, state: State, samples: Samples, *, seed: int, step: int, training: bool
    ) -> tuple[float, Array]:
        n = len(samples.X)
        if training:
            check_statistics(program, n)
        tables = Tables(program, n, self._threads_for(program, n), gradient=True, labels=_are_labels(samples))
        plan = Plan(np.arange(n), n, np.zeros(1), seed)
        run = CompiledRun(tables, tables.memory(), samples, plan, Order.of(plan), step)
        run.load(State(state.flat, state.buffers, np.zeros((1, program.n_parameters), program.dtype)))
        run.advance(0, 1, training=training)
        gradient = np.empty(program.n_parameters, program.dtype)
        tables.layout.unpack(gradient, run.memory.packed[1])
        return float(run.losses[0]), gradient

    def train(self, program: Program, state: State, samples: Samples, plan: Plan, records: Records, stop: Stop) -> int:
        before = state.step
        with suppress(Abandoned):  # `stop` said so before there was anything that could take a step
            self._train(program, state, samples, plan, records, stop)
        return state.step - before

    def _train(
        self, program: Program, state: State, samples: Samples, plan: Plan, records: Records, stop: Stop
    ) -> None:
        while is_wide(program):
            run = out_of_reach(partial(self._train_in_place, program, state, samples, plan, records, stop))
            if not run.refused:
                return
            plan = plan.part(run.taken, len(plan.lr) - run.taken)
            records = Records(records.losses[run.taken :], records.accuracies[run.taken :])
            if not run.taken:
                break  # else what the step was judged by was a bound, and the next call begins with what is there
        self._train_on_a_copy(program, state, samples, plan, records, stop)

    def _train_in_place(
        self,
        program: Program,
        state: State,
        samples: Samples,
        plan: Plan,
        records: Records,
        stop: Stop,
        is_broken_off: Stop,
    ) -> CompiledRun:
        """As many steps as are safe on the model's own vectors, which are panels meanwhile."""

        def is_over() -> bool:
            return stop() or is_broken_off()

        run = self._run(program, state, samples, plan, is_over, in_place=True)
        try:
            run.advance_until(is_over, self._pace)
        finally:  # whatever has happened
            run.save(state)
            run.write_down(records)
        return run

    def _train_on_a_copy(
        self, program: Program, state: State, samples: Samples, plan: Plan, records: Records, stop: Stop
    ) -> None:
        """The same on panels, while `state` stays what it was until all steps are known to be finite."""
        run = self._run(program, state, samples, plan, stop, in_place=False)
        run.advance_until(stop, self._pace)
        if run.is_finite(run.taken):
            run.save(state)
            run.write_down(records)
            return
        self._kept = None  # NaN may have got into the padding
        run.memory = run.tables.memory()
        run.return_to_last_good_step(state, stop, self._pace)
        run.write_down(records)
        run.save(state)
        if stop():  # perhaps short of the last good step
            return
        raise divergence(program, state, samples, plan, run.taken)

    def _run(
        self, program: Program, state: State, samples: Samples, plan: Plan, stop: Stop, *, in_place: bool
    ) -> CompiledRun:
        """A call about to begin, on tables and memory of the last one where they fit: a fit makes many calls."""
        with unless(stop):
            run = self._new_run(program, state, samples, plan, in_place)
        run.load(state)
        return run

    def _new_run(self, program: Program, state: State, samples: Samples, plan: Plan, in_place: bool) -> CompiledRun:
        size, labels = min(plan.batch_size, len(plan.rows)), _are_labels(samples)
        kept = self._kept and self._kept[0]
        wanted = size, labels, in_place
        if not (kept and kept.program is program and (kept.batch_size, kept.labels, kept.in_place) == wanted):
            self._kept = None  # before there is another: of wide networks there is no room for both
            tables = Tables(program, size, self._threads_for(program, size), labels=labels, in_place=in_place)
            self._kept, self._pace = (tables, tables.memory()), Pace(tables.threads)
        assert self._kept
        if self._order is None or not self._order.serves(plan):
            self._order = Order.of(plan)
        return CompiledRun(*self._kept, samples, plan, self._order, state.step + 1)

    def _constants(self, program: Program) -> Hashable:
        """What a user's functions read, as it was at the first call with a program: for the whole of a fit."""
        if self._read is None or self._read[0] is not program:
            self._read = program, constants(program)
        return self._read[1]

    def _threads_for(self, program: Program, batch_size: int) -> int:
        """How many threads a step is worth; the choice changes no number."""
        weights = sum(op.n_in * op.n_out for op in program.operations if isinstance(op.layer, Dense))
        return self._threads if 6 * batch_size * weights >= FLOPS_FOR_THREADS else 1


def _are_labels(samples: Samples) -> bool:
    """Whether the targets are class labels: no loss has whole numbers but as those."""
    return samples.targets.dtype == np.int64
