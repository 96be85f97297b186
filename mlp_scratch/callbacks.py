"""What may watch a fit and end it: callbacks, called after each epoch."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Protocol

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, unknown_name
from mlp_scratch.files import check_replaceable
from mlp_scratch.history import History


class FittedModel(Protocol):
    """What callbacks use of a model."""

    flat: Array
    buffer_vector: Array

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model with its training state."""


class Run:
    """A fit under way, as callbacks see it.

    Attributes:
        model: the model, at the end of the last epoch of `history`.
        history: what was reported so far.
        figures: the names of the figures that each epoch will report, such as "val_loss".
        check_savable: raises what `model.save` would raise of this fit, whatever the path.
        stopped: the reason that `stop` was called for; empty while the fit goes on.
    """

    def __init__(
        self, model: FittedModel, history: History, figures: Sequence[str], check_savable: Callable[[], None]
    ) -> None:
        self.model, self.history, self.figures, self.check_savable = model, history, figures, check_savable
        self.stopped = ""

    def stop(self, reason: str = "") -> None:
        """End the fit after this epoch's callbacks; `History.stopped` is the reason, "by a callback" for an empty one.

        Raises:
            ArgumentTypeError: for a reason that is no text.
        """
        if not isinstance(reason, str):
            raise ArgumentTypeError(
                "reason", given=checks.describe(reason), expected="a text", mend="leave it out if there is none"
            )
        self.stopped = reason or "by a callback"


class Callback:
    """Base class: override what you need."""

    def on_fit_start(self, run: Run) -> None:
        """Called before the first step, while nothing is changed yet: an error here leaves the model as it was."""

    def on_epoch_end(self, run: Run) -> None:
        """Called after each epoch and its validation."""

    def on_fit_end(self, run: Run) -> None:
        """Called after the last epoch, unless the fit ended with an error."""


class EarlyStopping(Callback):
    """Stop after `patience` epochs in a row without an improvement, and go back to the best epoch.

    Parameters and running statistics go back. What the optimiser remembers and the counts of steps and epochs are those
    of the last epoch, and a fit that goes on goes on from there. After Ctrl-C or an error the model stays as it is.

    Args:
        patience: how many such epochs to wait for.
        monitor: the figure to watch: "val_loss", "val_accuracy", "loss" or "accuracy"; None takes "val_loss" where
            there is a validation set, else "loss".
        min_delta: what counts as an improvement must exceed this.
        restore_best: whether the model ends with the best epoch's parameters instead of the last one's.
    """

    def __init__(
        self, patience: int = 5, *, monitor: str | None = None, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        self.patience = checks.integer("patience", patience, at_least=1)
        valid = ("loss", "accuracy", "val_loss", "val_accuracy")
        if monitor is not None and not (isinstance(monitor, str) and monitor in valid):
            raise unknown_name("monitor", monitor, valid)
        self.monitor = monitor
        self.min_delta = checks.real("min_delta", min_delta, at_least=0.0)
        self.restore_best = checks.boolean("restore_best", restore_best)

    def on_fit_start(self, run: Run) -> None:
        chosen = self.monitor or ("val_loss" if "val_loss" in run.figures else "loss")
        if chosen not in run.figures:
            raise ArgumentError(
                "monitor",
                given=f"{chosen!r}, which this fit does not report",
                expected="a figure of the fit",
                mend="give fit a validation set" if chosen.startswith("val") else "use 'loss'",
            )
        self._watched = chosen
        self._best = -float("inf")
        self._waited = 0
        self._kept: tuple[Array, Array] | None = None

    def on_epoch_end(self, run: Run) -> None:
        value = getattr(run.history.epochs[-1], self._watched)
        gain = -value if self._watched.endswith("loss") else value
        if gain > self._best + self.min_delta:
            self._best, self._waited = gain, 0
            if self.restore_best:
                self._kept = run.model.flat.copy(), run.model.buffer_vector.copy()
            return
        self._waited += 1
        if self._waited >= self.patience:
            run.stop(f"{self._watched} has not improved for {self.patience} epochs")

    def on_fit_end(self, run: Run) -> None:
        if self._kept is not None:
            run.model.flat[...], run.model.buffer_vector[...] = self._kept


class Checkpoint(Callback):
    """Save the model after every `every` epochs and at the end of the fit; resume from it with `load(path)`.

    A fit that Ctrl-C or an error ends leaves the file of the last such epoch. The model itself is further on, at the
    end of the last whole step: `model.save(path)` keeps that.
    """

    def __init__(self, path: str | PathLike[str], *, every: int = 1) -> None:
        self.path = checks.path("path", path)
        self.every = checks.integer("every", every, at_least=1)

    def on_fit_start(self, run: Run) -> None:
        check_replaceable(self.path)
        run.check_savable()

    def on_epoch_end(self, run: Run) -> None:
        if len(run.history.epochs) % self.every == 0:
            run.model.save(self.path)

    def on_fit_end(self, run: Run) -> None:
        run.model.save(self.path)
