"""The networks of a population as what is to be trained: on the threads of the CPU, or on the GPU."""

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from time import perf_counter

import numpy as np

from mlp_scratch.backends import Backend, get_backend
from mlp_scratch.backends.base import Plan, Records, Samples, State, Stop
from mlp_scratch.errors import DivergedError
from mlp_scratch.history import History
from mlp_scratch.interrupts import deferred_interrupts
from mlp_scratch.layers import Dense
from mlp_scratch.program import Program
from mlp_scratch.sequential import Sequential
from mlp_scratch.training import Course, Ledger, Schedule, Training

TILE = 16
"""About the side of the blocks that kernels work on."""

SECONDS_A_LOOK = 0.05
"""While threads are waited for, signal handlers run at least so often: a signal that comes just before the waiting
begins, or to another thread, does not end it, and on some systems none does."""


class Job:
    """One network to train."""

    def __init__(self, model: Sequential, program: Program, samples: Samples, training: Training) -> None:
        self.model, self.program, self.samples, self.training = model, program, samples, training
        self.error: DivergedError | None = None

    def begin(self) -> State:
        """What a backend changes; the model is made ready."""
        self.model.training, self.model.history = self.training, History()
        return State(self.model.flat, self.model.buffer_vector, self.training.slots)

    def run(self, backend: Backend, epochs: int, shuffle: bool, stop: Stop, steps_a_call: int = 1) -> int:
        """Train as `Sequential.fit` would; returns how many steps a call have turned out right."""
        schedule = Schedule(np.arange(self.training.n_samples), None, self.training.batch_size, epochs, shuffle)
        state, history = self.begin(), self.model.history
        course = Course(
            backend, self.program, state, self.samples, self.training, schedule, history, steps_a_call=steps_a_call
        )
        try:
            while course.steps_left and not stop():
                course.take_some_steps(stop)
        except DivergedError as diverged:
            self.error = diverged
        else:
            history.stopped = "interrupted" if course.steps_left else ""
        return course.steps_a_call

    def record(self, records: Records, state: State, epochs: int, shuffle: bool, seconds: float) -> None:
        """Write what was done in so many seconds into the model's training and history."""
        training, history = self.training, self.model.history
        training.step, training.shuffle = state.step, shuffle
        rows = np.arange(training.n_samples)
        plan = Plan(rows, training.batch_size, np.empty(0), training.seed, shuffle)
        ledger = Ledger(training, history, plan, self.samples.weights)
        ledger.add(records.losses[: state.step], records.accuracies[: state.step], seconds)
        if training.epoch < epochs and self.error is None:
            history.stopped = "interrupted"


def on_threads(workers: int, jobs: list[Job], epochs: int, shuffle: bool) -> None:
    """Train each network on one thread of the CPU."""
    from mlp_scratch.backends.numba import NumbaBackend  # loads Numba

    # The largest first, so that none of them is what all the others have to wait for at the end.
    queue = deque(sorted(jobs, key=lambda job: -work(job.model)))
    failed = threading.Event()
    # Ctrl-C is held back, or it might come while the pool starts a thread, which nobody would then wait for.
    count = min(workers, len(jobs))
    with deferred_interrupts() as interrupted, ThreadPoolExecutor(count) as pool:

        def stop() -> bool:
            return interrupted() or failed.is_set()

        def train_one_after_the_other() -> None:
            backend, pace = NumbaBackend(threads=1), 1  # it keeps its tables for the next network of a kind
            while True:  # when to stop, each network asks; even one that takes no step any more has to say so
                try:
                    job = queue.popleft()
                except IndexError:
                    return
                pace = job.run(backend, epochs, shuffle, stop, pace)

        try:
            futures: list[Future[None]] = []
            with suppress(RuntimeError):  # no more threads can be started; the list has those that were
                futures.extend(pool.submit(train_one_after_the_other) for _ in range(count))
            if not futures:
                train_one_after_the_other()
            for future in futures:
                while wait([future], SECONDS_A_LOOK).not_done:
                    pass
                future.result()
        except BaseException:
            failed.set()
            train_one_after_the_other()  # no step: those that nobody has come to are marked as interrupted
            raise


def on_gpu(jobs: list[Job], epochs: int, shuffle: bool) -> None:
    """Train the networks of each architecture together on the GPU, or one by one where each can use all of it."""
    from mlp_scratch.backends.cuda_population import Member, pays_together, train_members  # loads Numba

    groups: dict[object, list[tuple[Job, Program, State]]] = {}
    for job in jobs:
        program, state = job.program, job.begin()
        kinds = tuple(type(op.layer) for op in program.operations)
        key = (kinds, program.table.tobytes(), program.constants.tobytes(), program.dtype, id(program.loss))
        groups.setdefault(key, []).append((job, program, state))
    with deferred_interrupts() as interrupted:
        for group in groups.values():
            (first, program, _), start = group[0], perf_counter()
            if not pays_together(program, len(group), first.training.batch_size):
                for job, _, _ in group:
                    job.run(get_backend("cuda"), epochs, shuffle, interrupted)
                continue
            members = [Member(state, job.training.seed, job.training.optimizer.lr) for job, _, state in group]
            size = first.training.batch_size
            losses, accuracies = train_members(
                program, members, first.samples, size, epochs, shuffle=shuffle, stop=interrupted
            )
            seconds = perf_counter() - start
            for (job, _, state), member, *figures in zip(group, members, losses, accuracies, strict=True):
                job.error = member.error
                job.record(Records(*figures), state, epochs, shuffle, seconds)


def work(model: Sequential) -> int:
    """What a step of a network costs, relatively: its weights, each side of a matrix rounded up to a tile's.

    So many layers of few neurons cost what they cost, not what they learn.

    >>> from mlp_scratch.mlp import MLP
    >>> work(MLP([2, *[1] * 24, 1])) > work(MLP([2, 24, 1]))
    True
    """
    return sum(-(-op.n_in // TILE) * -(-op.n_out // TILE) for op in model.placed if isinstance(op.layer, Dense))
