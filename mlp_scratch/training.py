"""The training loop: epochs of shuffled mini-batches, whatever backend takes the steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlp_scratch._types import Array, IntArray
from mlp_scratch.backends import Backend, Plan, Records, Samples, State, Stop
from mlp_scratch.callbacks import Callback, Checkpoint, Run
from mlp_scratch.history import Epoch, History
from mlp_scratch.interrupts import deferred_interrupts
from mlp_scratch.losses import Loss
from mlp_scratch.model import owned
from mlp_scratch.optimizers import Optimizer
from mlp_scratch.program import Program
from mlp_scratch.progress import ProgressBar

SECONDS_A_CALL = 1.0
"""A backend is handed as many steps at a time as take about this long, so that progress shows; it asks for Ctrl-C
itself, and what it does at the start and end of a call should cost little beside the steps."""

SECONDS_A_NUMBER = 5e-8
"""A call takes no less than this for each number that is trained or remembered: a backend may bring all of them into a
layout of its own and back, which is a fiftieth of a call then."""

EPOCHS_A_CALL = 1000
"""At most so many, for each is written down in Python afterwards, which takes some microseconds."""

SCORED_AT_ONCE = 4096
"""Scoring goes through the samples in blocks of so many rows."""


def seconds_a_call(numbers: int) -> float:
    """How long a call of a backend should take that trains, or has the optimiser remember, so many numbers.

    >>> seconds_a_call(1_000_000), seconds_a_call(60_000_000)
    (1.0, 3.0)
    """
    return max(SECONDS_A_CALL, SECONDS_A_NUMBER * numbers)


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

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.slots = owned(self.slots)

    @property
    def steps_an_epoch(self) -> int:
        """Of all batches, the short one included."""
        return -(-self.n_samples // self.batch_size)


@dataclass(frozen=True)
class Schedule:
    """What one call of `fit` asks for, checked: the rows of the samples to train on, and how."""

    rows: IntArray
    validation: Samples | None
    batch_size: int
    epochs: int
    shuffle: bool
    callbacks: Sequence[Callback] = ()
    progress: bool | None = None


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
    course = Course(backend, program, state, samples, training, schedule, run.history)
    with (
        deferred_interrupts() as interrupted,
        ProgressBar(course.steps_left, shown=schedule.progress) as bar,
    ):
        while course.steps_left and not run.stopped and not interrupted():
            taken = course.take_some_steps(interrupted)
            bar.advance(taken, *course.ledger.shown)
            if training.position or interrupted():
                continue  # in the middle of an epoch
            if schedule.validation is not None and (
                scores := score(backend, program, state, schedule.validation, interrupted)
            ):
                run.history.epochs[-1] = replace(
                    run.history.epochs[-1], val_loss=scores["loss"], val_accuracy=scores.get("accuracy")
                )
            for callback in () if interrupted() else schedule.callbacks:
                callback.on_epoch_end(run)
        run.history.stopped = "interrupted" if interrupted() else run.stopped if course.steps_left else ""
    for callback in sorted(schedule.callbacks, key=lambda callback: isinstance(callback, Checkpoint)):
        callback.on_fit_end(run)  # what is saved at the end is the model as all the others leave it


class Course:
    """A fit on its way: steps handed to the backend some at a time.

    They go on from epoch to epoch, unless somebody looks at the end of each: a callback, or a validation set.

    Attributes:
        steps_left: until the last epoch is over.
        steps_a_call: how many to hand on at a time; it follows the clock.
        epochs_a_call: that they may belong to.
        ledger: what the steps so far add up to.
    """

    def __init__(
        self,
        backend: Backend,
        program: Program,
        state: State,
        samples: Samples,
        training: Training,
        schedule: Schedule,
        history: History,
        *,
        steps_a_call: int = 1,
    ) -> None:
        self.backend, self.program, self.state, self.samples = backend, program, state, samples
        n, size, shuffle = len(schedule.rows), schedule.batch_size, schedule.shuffle
        if (training.n_samples, training.batch_size, training.shuffle) != (n, size, shuffle):
            training.position = 0  # the epoch under way had other batches: begin it anew
        training.n_samples, training.batch_size, training.shuffle = n, size, shuffle
        self.training, self.steps_a_call = training, steps_a_call
        watched = bool(schedule.callbacks) or schedule.validation is not None
        self.epochs_a_call = 1 if watched else EPOCHS_A_CALL
        self.steps_left = schedule.epochs * training.steps_an_epoch - training.position
        self._seconds = seconds_a_call(state.flat.size + state.slots.size)
        self._plan = Plan(schedule.rows, size, np.empty(0), training.seed, shuffle)
        self.ledger = Ledger(training, history, self._plan, samples.weights)

    def take_some_steps(self, stop: Stop) -> int:
        training = self.training
        until = self.epochs_a_call * training.steps_an_epoch - training.position
        count = min(self.steps_a_call, self.steps_left, until)
        lr = np.full(count, training.optimizer.lr, np.float64)
        records = Records(np.full(count, np.nan), np.full(count, np.nan))
        plan = replace(self._plan, lr=lr, epoch=training.epoch, position=training.position)
        before, start = self.state.step, perf_counter()
        try:
            self.backend.train(self.program, self.state, self.samples, plan, records, stop)
        finally:
            # Also when a step diverged: the steps before it were taken and are on record.
            taken, elapsed = self.state.step - before, perf_counter() - start
            training.step, self.steps_left = self.state.step, self.steps_left - taken
            self.ledger.add(records.losses[:taken], records.accuracies[:taken], elapsed)
        if elapsed < self._seconds / 2 and count == self.steps_a_call:
            self.steps_a_call *= 2
        elif elapsed > self._seconds:
            self.steps_a_call = max(1, self.steps_a_call // 2)
        return taken


class Shown(NamedTuple):
    """The number of an epoch, mean loss and mean accuracy of its samples so far, and samples a second."""

    epoch: int
    loss: float
    accuracy: float | None
    rate: float


class Ledger:
    """Where steps are written down: each in the history, epochs too once they are over, and how far training is.

    Args:
        plan: whose samples the steps take, and in which order.
        sample_weights: of all samples, (N,), or None.

    Attributes:
        shown: of the epoch of the last step.
    """

    def __init__(self, training: Training, history: History, plan: Plan, sample_weights: Array | None) -> None:
        self.training, self.history, self._plan = training, history, plan
        self.shown = Shown(training.epoch + 1, np.nan, None, 0.0)
        self._first_step, self._seconds = len(history.losses), 0.0  # of the epoch under way
        self._sizes = np.full(training.steps_an_epoch, float(training.batch_size))
        self._sizes[-1] = training.n_samples - (training.steps_an_epoch - 1) * training.batch_size
        self._sample_weights, self._summed = sample_weights, (-1, self._sizes)
        if sample_weights is not None:
            self._sample_weights = sample_weights / sample_weights.max().astype(np.float64)  # so that no sum overflows

    def add(self, losses: npt.NDArray[np.float64], accuracies: npt.NDArray[np.float64], seconds: float) -> None:
        """Write down steps that took so long together."""
        training, history = self.training, self.history
        done = len(history.losses)
        history.add_steps(losses, accuracies)
        while done < len(history.losses):
            count = min(len(history.losses) - done, training.steps_an_epoch - training.position)
            training.position, done = training.position + count, done + count
            self._seconds += seconds * count / len(losses)
            self.shown = self._figures(done)
            if training.position == training.steps_an_epoch:
                training.epoch, training.position = training.epoch + 1, 0
                epoch, loss, accuracy, rate = self.shown
                history.epochs.append(Epoch(epoch, loss, accuracy, None, None, self._seconds, rate))
                self._first_step, self._seconds = done, 0.0

    def _figures(self, done: int) -> Shown:
        """Of the epoch under way, whose last step is the last before number `done` of the history."""
        training, count = self.training, done - self._first_step
        here = slice(training.position - count, training.position)
        sizes, weights = self._sizes[here], self._step_weights()[here]
        n, weight = int(sizes.sum()), weights.sum()
        # Of samples that count nothing there is no mean: 0 would be the best loss of all.
        loss = float(self.history.losses[self._first_step : done] @ weights / weight) if weight > 0 else np.nan
        accuracy = float(self.history.accuracies[self._first_step : done] @ sizes / n)
        return Shown(training.epoch + 1, loss, None if np.isnan(accuracy) else accuracy, n / self._seconds)

    def _step_weights(self) -> npt.NDArray[np.float64]:
        """What the loss of each step of the epoch under way counts: its samples, or all that they weigh.

        The loss of a batch is the mean by its samples' weights, so that with these the epoch's is that of all of them.
        """
        if self._sample_weights is None:
            return self._sizes
        epoch, sums = self._summed
        if epoch != self.training.epoch:
            weights = self._sample_weights[self._plan.order(self.training.epoch)]
            sums = np.add.reduceat(weights, np.arange(0, len(weights), self._plan.batch_size))
            self._summed = self.training.epoch, sums
        return sums


def reported(loss: Loss, validation: Samples | None) -> tuple[str, ...]:
    """The names of the figures that each epoch of a fit reports."""
    figures = ("loss", "accuracy") if loss.classifies else ("loss",)
    return figures if validation is None else (*figures, *(f"val_{name}" for name in figures))


def score(
    backend: Backend, program: Program, state: State, samples: Samples, stop: Stop = lambda: False
) -> dict[str, float]:
    """The loss of all samples, and their accuracy where the task has one, in inference mode; nothing if `stop` says so.

    The loss is the weighted mean over all samples, as if they were one batch; the accuracy is the plain mean, and NaN
    where an output or the loss of a sample is.
    """
    losses, accuracies = [], []
    for start in range(0, len(samples.X), SCORED_AT_ONCE):
        if stop():
            return {}
        rows = slice(start, start + SCORED_AT_ONCE)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows shows in the scores
            z, t = backend.logits(program, state, samples.X[rows]), samples.targets[rows]
            losses.append(program.loss.sample_values(z, t))
            accuracies.append(program.loss.accuracies(z, t))
        if accuracies[-1] is not None:
            unknown = np.isnan(z).any(axis=1) | np.isnan(losses[-1])  # that of infinite outputs is NaN, too
            accuracies[-1] = np.where(unknown, np.nan, accuracies[-1])
    values = np.concatenate(losses, dtype=np.float64)
    weights = None if samples.weights is None else samples.weights.astype(np.float64)
    scores = {"loss": float(program.loss.shares(values, weights) @ values)}
    if accuracies[0] is not None:
        scores["accuracy"] = float(np.concatenate([a for a in accuracies if a is not None]).mean())
    return scores
