"""The training loop: epochs of shuffled mini-batches, whatever backend takes the steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np

from mlp_scratch._types import Array, IntArray
from mlp_scratch.backends import Backend, Plan, Records, Samples, State
from mlp_scratch.callbacks import Callback, Run
from mlp_scratch.history import Epoch, History
from mlp_scratch.interrupts import deferred_interrupts
from mlp_scratch.losses import Loss
from mlp_scratch.optimizers import Optimizer
from mlp_scratch.program import Program
from mlp_scratch.progress import ProgressBar
from mlp_scratch.random import permutation

SECONDS_A_CALL = 1.0
"""A backend is handed as many steps at a time as take about this long, so that progress shows; it asks for Ctrl-C
itself, and what it does at the start and end of a call should cost little beside the steps."""

SCORED_AT_ONCE = 4096
"""Scoring goes through the samples in blocks of so many rows."""


@dataclass
class Training:
    """What training remembers between calls; saved with the model, it makes resuming exact.

    Attributes:
        loss, optimizer: what the steps so far were taken with.
        slots: what the optimiser remembers, (S, P).
        seed: of data order and dropout.
        flat_targets: whether the targets were (N,), which predictions then are too.
        step: steps taken.
        epoch: whole epochs taken.
        position: steps taken in the epoch under way, 0 between epochs.
        n_samples, batch_size, shuffle: of the epoch under way.
    """

    loss: Loss
    optimizer: Optimizer
    slots: Array
    seed: int
    flat_targets: bool = False
    step: int = 0
    epoch: int = 0
    position: int = 0
    n_samples: int = 0
    batch_size: int = 0
    shuffle: bool = True


@dataclass(frozen=True)
class Schedule:
    """What one call of `fit` asks for, checked: the rows of the samples to train on, and how."""

    rows: IntArray
    validation: Samples | None
    batch_size: int
    epochs: int
    shuffle: bool
    callbacks: Sequence[Callback]
    progress: bool | None


def train(
    backend: Backend,
    program: Program,
    state: State,
    samples: Samples,
    training: Training,
    schedule: Schedule,
    run: Run,
) -> None:
    """Train for the epochs of `schedule`, keeping `training` and `run.history` up to date at each step.

    An epoch that an earlier call left in the middle is finished first, and counts as one.

    Raises:
        DivergedError: at a loss, gradient or parameter that is not finite.
        KeyboardInterrupt: for Ctrl-C, after the step under way.
    """
    n = len(schedule.rows)
    if (training.n_samples, training.batch_size, training.shuffle) != (n, schedule.batch_size, schedule.shuffle):
        training.position = 0  # the epoch under way had other batches: begin it anew
    training.n_samples, training.batch_size, training.shuffle = n, schedule.batch_size, schedule.shuffle
    steps_an_epoch = -(-n // schedule.batch_size)
    with (
        deferred_interrupts() as interrupted,
        ProgressBar(schedule.epochs * steps_an_epoch, shown=schedule.progress) as bar,
    ):
        pace = 1
        for _ in range(schedule.epochs):
            order = permutation(training.seed, training.epoch, n) if schedule.shuffle else np.arange(n)
            epoch = _EpochUnderWay(backend, program, state, samples, training, schedule.rows[order], run.history, pace)
            while training.position < steps_an_epoch and not interrupted():
                taken = epoch.take_some_steps(interrupted)
                bar.advance(taken, training.epoch + 1, *epoch.figures())
            pace = epoch.steps_a_call
            if interrupted() and training.position < steps_an_epoch:
                break
            training.epoch, training.position = training.epoch + 1, 0
            scores = {}
            if schedule.validation is not None and not interrupted():
                scores = score(backend, program, state, schedule.validation)
            run.history.epochs.append(epoch.summary(training.epoch, scores))
            if interrupted():
                break
            for callback in schedule.callbacks:
                callback.on_epoch_end(run)
            if run.stopped:
                break
        run.history.stopped = "interrupted" if interrupted() else run.stopped
    for callback in schedule.callbacks:
        callback.on_fit_end(run)


class _Figures(NamedTuple):
    """Mean loss, mean accuracy and samples a second of the steps of an epoch so far."""

    loss: float
    accuracy: float | None
    rate: float


class _EpochUnderWay:
    """One epoch's steps, handed to the backend some at a time, and what they add up to."""

    def __init__(
        self,
        backend: Backend,
        program: Program,
        state: State,
        samples: Samples,
        training: Training,
        order: IntArray,
        history: History,
        steps_a_call: int,
    ) -> None:
        self.backend, self.program, self.state, self.samples = backend, program, state, samples
        self.training, self.order, self.history = training, order, history
        self.first_step = len(history.losses)
        self.seconds = 0.0
        self.steps_a_call = steps_a_call
        self.sizes: list[int] = []  # of the batches taken

    def take_some_steps(self, stop: Callable[[], bool]) -> int:
        training, size = self.training, self.training.batch_size
        remaining = self.order[training.position * size :]
        count = min(self.steps_a_call, -(-len(remaining) // size))
        records = Records(np.full(count, np.nan), np.full(count, np.nan))
        plan = Plan(remaining[: count * size], size, np.full(count, training.optimizer.lr), training.seed)
        before, start = self.state.step, perf_counter()
        try:
            self.backend.train(self.program, self.state, self.samples, plan, records, stop)
        finally:
            # Also when a step diverged: the steps before it were taken and are on record.
            taken = self.state.step - before
            training.step, training.position = self.state.step, training.position + taken
            self.history.add_steps(records.losses[:taken], records.accuracies[:taken])
            self.sizes += [min(size, len(remaining) - i * size) for i in range(taken)]
        elapsed = perf_counter() - start
        self.seconds += elapsed
        if elapsed < SECONDS_A_CALL / 2 and count == self.steps_a_call:
            self.steps_a_call *= 2
        elif elapsed > SECONDS_A_CALL:
            self.steps_a_call = max(1, self.steps_a_call // 2)
        return taken

    def figures(self) -> _Figures:
        sizes = np.array(self.sizes)
        n = int(sizes.sum())
        if n == 0:
            return _Figures(np.nan, None, 0.0)
        loss = float(self.history.losses[self.first_step :] @ sizes / n)
        accuracy = float(self.history.accuracies[self.first_step :] @ sizes / n)
        return _Figures(loss, None if np.isnan(accuracy) else accuracy, n / self.seconds)

    def summary(self, number: int, scores: dict[str, float]) -> Epoch:
        loss, accuracy, rate = self.figures()
        return Epoch(number, loss, accuracy, scores.get("loss"), scores.get("accuracy"), self.seconds, rate)


def reported(loss: Loss, validation: Samples | None) -> tuple[str, ...]:
    """The names of the figures that each epoch of a fit reports."""
    figures = ("loss", "accuracy") if loss.classifies else ("loss",)
    return figures if validation is None else (*figures, *(f"val_{name}" for name in figures))


def score(backend: Backend, program: Program, state: State, samples: Samples) -> dict[str, float]:
    """The loss of all samples, and their accuracy where the task has one, in inference mode.

    The loss is the weighted mean over all samples, as if they were one batch; the accuracy is the plain mean.
    """
    losses, accuracies = [], []
    for start in range(0, len(samples.X), SCORED_AT_ONCE):
        rows = slice(start, start + SCORED_AT_ONCE)
        z, t = backend.logits(program, state, samples.X[rows]), samples.targets[rows]
        losses.append(program.loss.sample_values(z, t))
        accuracies.append(program.loss.accuracies(z, t))
    values = np.concatenate(losses, dtype=np.float64)
    weights = None if samples.weights is None else samples.weights.astype(np.float64)
    scores = {"loss": float(program.loss.shares(values, weights) @ values)}
    if accuracies[0] is not None:
        scores["accuracy"] = float(np.concatenate([a for a in accuracies if a is not None]).mean())
    return scores
