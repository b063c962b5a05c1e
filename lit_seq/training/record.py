"""status.json of a run, kept up to date while it trains."""

import math
import time
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.run_folder import State, Status
from lit_seq.training.metrics_file import MetricsFile


class Diverged(Exception):
    """The loss is no longer a number."""


class Record(L.Callback):
    """Keeps status.json and metrics.csv of a run folder up to date, and ends a run that diverged.

    Args:
        folder: the run folder.
        status: the run's status so far; its `seconds` go on.
        metrics: the run's metrics.
    """

    period = 1.0
    """Seconds between two writes."""

    def __init__(self, folder: Path, status: Status, metrics: MetricsFile) -> None:
        self._folder, self._metrics = folder, metrics
        self.status = status
        self._seconds_before, self._started, self._written = status.seconds, time.monotonic(), 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds that went into the checkpoint."""
        return {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on from the checkpoint's seconds: what a kill threw away is not part of the result."""
        self._seconds_before = state_dict["seconds"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say that the run runs, and let early stopping see what it saw before a resumption."""
        # Lightning keeps neither metrics nor `should_stop` in a checkpoint: a run that is resumed at an
        # epoch's end would ask for a metric in vain, and one that was killed as it stopped would go on.
        trainer.callback_metrics.update(trainer.strategy.broadcast(self._metrics.latest_validation()))
        reasons = [callback.stopping_reason for callback in trainer.early_stopping_callbacks]
        if any(reason != EarlyStoppingReason.NOT_STOPPED for reason in reasons):
            trainer.should_stop = True
        self._started = time.monotonic()
        steps = trainer.estimated_stepping_batches
        self.status.max_steps = None if math.isinf(steps) else int(steps)
        self.write("running", trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Write at most once a second.

        Raises:
            Diverged: the training loss that was last logged is not finite.
        """
        self._check(trainer)
        if time.monotonic() - self._written >= self.period:
            self._metrics.flush()
            self.write("running", trainer.global_step)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the validation loss as well."""
        if trainer.state.fn == "fit":
            self._check(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the final step count."""
        self._check(trainer)
        self.status.step = trainer.global_step

    def end(self, trainer: L.Trainer) -> tuple[State, str | None]:
        """Return the state of a run whose training ended by itself, and the reason if it ended early."""
        if trainer.should_stop and trainer.global_step != self.status.max_steps:
            messages = [callback.stopping_reason_message for callback in trainer.early_stopping_callbacks]
            told = [message.removesuffix(" Signaling Trainer to stop.") for message in messages if message]
            return "stopped", ": ".join([f"stopped early at step {trainer.global_step}", *told])
        return "finished", None

    @rank_zero_only
    def write(self, state: State, step: int | None = None, reason: str | None = None) -> None:
        """Replace status.json."""
        self.status.state, self.status.reason = state, reason
        self.status.step = self.status.step if step is None else step
        self.status.seconds = self._seconds()
        self.status.metrics = dict(self._metrics.latest)
        self.status.write(self._folder)
        self._written = time.monotonic()

    def _seconds(self) -> float:
        return round(self._seconds_before + time.monotonic() - self._started, 3)

    def _check(self, trainer: L.Trainer) -> None:
        for name in ("train/loss", "val/loss"):
            value = self._metrics.latest.get(name, 0.0)
            if not math.isfinite(value):
                raise Diverged(f"{name} is {value} at step {self._metrics.last_step}")
