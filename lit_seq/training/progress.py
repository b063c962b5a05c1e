"""One progress bar for a whole run."""

import sys
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lit_seq.topologies.topology import log_every


class RunProgress(ProgressBar):
    """Shows step, loss, latest validation loss and the time left for the run.

    Where the output is no terminal it prints a line with all metrics for each validation instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._enabled = True
        self._loss = self._validation = ""

    def disable(self) -> None:
        """Stay silent; Lightning calls this on all but one process."""
        self._enabled = False

    def enable(self) -> None:
        """Speak again."""
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar where the run stands."""
        if not self._enabled or not sys.stderr.isatty():
            return
        steps = trainer.estimated_stepping_batches
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        total = None if steps == float("inf") else int(steps)
        self._task = self._progress.add_task("step", total=total, completed=trainer.global_step, shown="")
        self._progress.start()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Move the bar; the loss is read from the device only as often as metrics are logged."""
        if self._progress is None:
            return
        if trainer.global_step % log_every(trainer) == 0:
            loss = trainer.callback_metrics.get("loss")
            self._loss = "" if loss is None else f"loss {loss.item():.4g}"
        shown = "  ".join(part for part in (self._loss, self._validation) if part)
        self._progress.update(self._task, completed=trainer.global_step, shown=shown)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the validation's metrics."""
        values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        shown = {name: f"{name} {value.item():.4g}" for name, value in values.items()}
        # One, so that the time left has its place on a terminal of 80 columns.
        self._validation = shown.get("val/loss", next(iter(shown.values()), ""))
        if self._enabled and self._progress is None and trainer.state.fn == "fit":
            print(f"step {trainer.global_step}  {'  '.join(shown.values())}", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, *args: Any) -> None:
        """Close the bar."""
        self._close()

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
