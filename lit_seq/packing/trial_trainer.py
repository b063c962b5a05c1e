"""What the callbacks of one trial see of a pack's trainer."""

from typing import Any

import lightning as L
from torch import Tensor

from lit_seq.packing.trial import PackedTrial


class TrialTrainer:
    """The pack's trainer, but with what is one trial's own.

    Args:
        trainer: the pack's.
        trial: the trial.

    Attributes:
        callback_metrics: the trial's latest metrics of validation.
        callbacks: the trial's.
        early_stopping_callbacks: the trial's.
        loggers: the trial's.
        default_root_dir: the trial's run folder.
        should_stop: whether the trial is to stop.
    """

    def __init__(self, trainer: L.Trainer, trial: PackedTrial) -> None:
        self._trainer = trainer
        self.callback_metrics: dict[str, Tensor] = {}
        self.callbacks = trial.callbacks
        self.early_stopping_callbacks = trial.early_stopping
        self.loggers = trial.recording.loggers
        self.default_root_dir = trial.folder
        self.should_stop = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)
