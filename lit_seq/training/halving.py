"""A trial at hyperband's brackets."""

from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.training.checkpoints import Checkpoints, Stopped
from lit_seq.training.hyperband import Hyperband
from lit_seq.training.metrics_file import MetricsFile
from lit_seq.training.rungs import Rung, add_rungs


class Halving(L.Callback):
    """Ends a run that hyperband stops, at the next point where a checkpoint is possible.

    Args:
        rule: hyperband's rule.
        trial: the run's name.
        metrics: the run's metrics, watching the rule's.
        checkpoints: what ends the run.

    Attributes:
        reason: why the run stops; None as long as it goes on.
    """

    def __init__(self, rule: Hyperband, trial: str, metrics: MetricsFile, checkpoints: Checkpoints) -> None:
        self.rule, self.trial = rule, trial
        self._metrics, self._checkpoints = metrics, checkpoints
        # What lies before the checkpoint is decided: the reason is in it.
        self._seen = len(metrics.watched_values)
        self.reason: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return why the run stops: a run that is killed before it has ended does so when it is resumed."""
        return {"reason": self.reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self.reason = state_dict["reason"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go no further where the checkpoint says so.

        Raises:
            Stopped: the run was stopped already.
        """
        if self.reason is not None:
            raise Stopped(self.reason)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Judge by a metric of training."""
        self._checkpoints.flush_row(trainer)
        self._judge(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judge by a metric of validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._judge(trainer)

    @rank_zero_only
    def _judge(self, trainer: L.Trainer) -> None:
        judge([self], trainer)
        self._checkpoints.stopped = self.reason

    def arrive(self) -> int | None:
        """Return the bracket that was reached since the last call."""
        before, self._seen = self._seen, len(self.history)
        bracket = self.rule.bracket(self._seen) if self._seen > before else None
        return bracket if bracket is not None and bracket > before else None

    @property
    def history(self) -> list[float]:
        """The metric's finite values so far."""
        return self._metrics.watched_values


def judge(runs: Sequence[Halving], trainer: L.Trainer) -> None:
    """Judge runs that have come to a bracket at the same time, each with the others in view.

    Args:
        runs: of one sweep.
        trainer: theirs; at its last step nothing is left to be stopped.
    """
    at = [(run, bracket) for run in runs if run.reason is None and (bracket := run.arrive()) is not None]
    if not at:
        return
    arrived = [Rung(run.trial, bracket, run.history[bracket - 1]) for run, bracket in at]
    everyone = add_rungs(at[0][0].rule.rungs, arrived)
    if trainer.global_step >= trainer.estimated_stepping_batches:
        return
    for run, bracket in at:
        values = [rung.value for rung in everyone if rung.iteration == bracket]
        run.reason = run.rule.verdict(run.history, bracket, values)
