"""What happens around a pack's steps: status, texts, and which trials leave."""

import time
import traceback
from typing import Any, Literal

import lightning as L

from lit_seq.diagnostics import ClippedSteps, Diagnostic
from lit_seq.packing.checkpoints import PackCheckpoints
from lit_seq.packing.leaving import End, let_go
from lit_seq.packing.pack import Pack
from lit_seq.packing.trial import PackedTrial
from lit_seq.packing.trial_trainer import TrialTrainer
from lit_seq.topologies import Topology
from lit_seq.training.halving import judge
from lit_seq.training.record import Diverged, Record
from lit_seq.training.samples import Samples, moment
from lit_seq.training.wandb_stop import asked_to_stop


class PackProgress(L.Callback):
    """Keeps each trial's status.json and samples.jsonl, and finds the trials that leave the stack.

    Those that diverged or failed leave at once. Those that hyperband or their own `EarlyStopping` stops leave
    when their checkpoints are written.

    Args:
        pack: the pack.
        checkpoints: the pack's.
    """

    def __init__(self, pack: Pack, checkpoints: PackCheckpoints) -> None:
        self._pack, self._checkpoints = pack, checkpoints
        self._trainers: dict[PackedTrial, Any] = {}
        self._diagnosed = any(trial.diagnostics for trial in pack.trials)
        self._looked = 0.0
        for trial in pack.trials:
            # Each is flushed to the disk, which a step waits for: four a second cost 2 %.
            trial.recording.record.period = max(Record.period, len(pack.trials) / 4)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say that the trials run, and let those go that were stopped before the pack was resumed.

        Raises:
            AllDropped: none is left.
        """
        stopped: dict[PackedTrial, End] = {}
        for trial in self._pack.trials:
            own: Any = TrialTrainer(trainer, trial)
            self._trainers[trial] = own
            trial.recording.record.on_train_start(own, trial.model)
            for callback in (*trial.early_stopping, *trial.diagnostics):
                callback.setup(own, trial.model, "fit")
            if own.should_stop:
                stopped[trial] = trial.recording.record.end(own)
        stopped |= self._halved()
        if stopped:
            let_go(self._pack, trainer, stopped)

    def on_before_optimizer_step(self, *args: Any) -> None:
        """Count the steps that are clipped, where a trial asks for that."""
        for row, trial in enumerate(self._pack.trials if self._diagnosed else []):
            for one in trial.diagnostics:
                if isinstance(one, ClippedSteps):
                    gradients = [p.grad[row] for p in self._pack.stacked.stacked if p.grad is not None]
                    one.count(gradients, *trial.clip)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Log the step, write what is due, and let diverged trials go.

        Raises:
            AllDropped: none is left.
        """
        # What is done for each trial at each step is many times what is done for one.
        written = self._pack.write_training_row()
        if written or time.monotonic() - self._looked >= Record.period:
            self._looked = time.monotonic()
            self._let_diverged_go(trainer)
        if written:
            self._halve(trainer)
        self._stop_those_asked()
        if self._diagnosed or moment(trainer) is not None:
            self._show(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let go of trials whose validation loss is not a number, and stop those that are to stop.

        Raises:
            AllDropped: none is left.
        """
        if trainer.sanity_checking:
            return
        self._let_diverged_go(trainer)
        self._stop_early(trainer, "on_validation_end")
        self._halve(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the trials that are to stop at an epoch's end.

        Raises:
            AllDropped: none is left.
        """
        self._stop_early(trainer, "on_train_epoch_end")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the final step count."""
        for trial in self._pack.trials:
            trial.recording.record.status.step = trainer.global_step

    def _show(self, trainer: L.Trainer) -> None:
        """Let diagnostics look, and write samples, where it is time."""
        model = self._pack.stacked.template
        for row, trial in enumerate(self._pack.trials):
            lookers: list[Diagnostic | Samples] = [*trial.diagnostics, trial.recording.samples]
            due = [looker for looker in lookers if looker.is_due(trainer)]
            if isinstance(model, Topology) and due:
                self._pack.stacked.solo(row)
                for looker in due:
                    looker.write(self._trainers[trial], model, self._pack.held_out_data(row))

    def _let_diverged_go(self, trainer: L.Trainer) -> None:
        diverged: dict[PackedTrial, End] = {}
        for trial in self._pack.trials:
            try:
                trial.recording.record.on_train_batch_end(trainer, trial.model)
            except Diverged as divergence:
                diverged[trial] = "diverged", str(divergence)
        if diverged:
            let_go(self._pack, trainer, diverged)

    def _stop_early(
        self, trainer: L.Trainer, hook: Literal["on_validation_end", "on_train_epoch_end"]
    ) -> None:
        failed: dict[PackedTrial, End] = {}
        for trial in self._pack.trials:
            own = self._trainers[trial]
            own.callback_metrics.update(trial.recording.metrics.latest_validation())
            try:
                for callback in trial.early_stopping:
                    getattr(callback, hook)(own, trial.model)
            except Exception as error:
                traceback.print_exc()
                failed[trial] = "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"
            else:
                if own.should_stop:
                    self._checkpoints.leaving[trial] = trial.recording.record.end(own)
        if failed:
            let_go(self._pack, trainer, failed)

    def _halve(self, trainer: L.Trainer) -> None:
        judge([halving for trial in self._pack.trials if (halving := trial.recording.halving)], trainer)
        self._checkpoints.leaving |= self._halved()

    def _stop_those_asked(self) -> None:
        for trial in self._pack.trials:
            if reason := asked_to_stop(trial.folder):
                self._checkpoints.leaving[trial] = "stopped", reason

    def _halved(self) -> dict[PackedTrial, End]:
        halved: dict[PackedTrial, End] = {}
        for trial in self._pack.trials:
            if (halving := trial.recording.halving) and halving.reason:
                halved[trial] = "stopped", halving.reason
        return halved
