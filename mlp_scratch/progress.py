"""The progress bar of a fit: on a terminal, and none in a pipe."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class ProgressBar:
    """One bar on standard error with epoch, loss, accuracy and samples per second.

    Args:
        steps: how many steps the fit will take.
        shown: whether to show it; None shows it where standard error is a terminal.
    """

    def __init__(self, steps: int, *, shown: bool | None = None) -> None:
        self._bar: RichProgress | None = None
        if not (sys.stderr.isatty() if shown is None else shown):
            return
        # rich takes as long to import as the rest of the package
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("fit", total=steps, epoch=1, figures="")

    def __enter__(self) -> "ProgressBar":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, steps: int, epoch: int, loss: float, accuracy: float | None, rate: float) -> None:
        """Report `steps` more steps; `rate` is in samples a second."""
        if self._bar:
            shown = f"loss {loss:.4f}" + ("" if accuracy is None else f"  accuracy {accuracy:.4f}")
            self._bar.update(self._task, advance=steps, epoch=epoch, figures=f"{shown}  {rate:,.0f} samples/s")
