"""What happens around a pack's steps: status, texts, and trials that leave."""

from typing import Any

import lightning as L

from lit_seq.packing.pack import Pack
from lit_seq.training.record import Diverged


class AllDropped(Exception):
    """No trial of the pack is left to train."""


class PackProgress(L.Callback):
    """Keeps each trial's status.json and samples.jsonl, and takes diverged trials out of the stack.

    Args:
        pack: the pack.
    """

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        for trial in pack.trials:
            # Sixty-four files a second would be noticed.
            trial.recording.record.period = max(1.0, len(pack.trials) / 8)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say that the trials run."""
        for trial in self._pack.trials:
            trial.recording.record.on_train_start(trainer, trial.model)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Log the step, write what is due, and let diverged trials go.

        Raises:
            AllDropped: none is left.
        """
        self._pack.write_training_row()
        self._drop_diverged(trainer)
        for row, trial in enumerate(self._pack.trials):
            if trial.recording.samples.moment(trainer):
                model = self._pack.stacked.solo(row)
                trial.recording.samples.on_train_batch_end(trainer, model)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let go of trials whose validation loss is not a number."""
        self._drop_diverged(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the final step count."""
        for trial in self._pack.trials:
            trial.recording.record.status.step = trainer.global_step

    def _drop_diverged(self, trainer: L.Trainer) -> None:
        diverged = {}
        for row, trial in enumerate(self._pack.trials):
            try:
                trial.recording.record.on_train_batch_end(trainer, trial.model)
            except Diverged as divergence:
                diverged[row] = str(divergence)
        for row, reason in diverged.items():
            self._pack.trials[row].recording.finish("diverged", reason)
        if len(diverged) == len(self._pack.trials):
            self._pack.trials = []
            raise AllDropped
        if diverged:
            self._pack.drop(list(diverged))
