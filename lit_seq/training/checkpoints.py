"""When a run's checkpoints are written, and whether one can be read."""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from lit_seq.checkpoint_file import BEST, LAST, PREVIOUS, write_checkpoint
from lit_seq.processes import agreed, of_all_processes, rank
from lit_seq.training.metrics_file import MetricsFile


@dataclass
class CheckpointPolicy:
    """When checkpoints are written.

    Attributes:
        every_seconds: last.ckpt is at most so much older than the run, besides after each validation.
        every_steps: as `every_seconds`, counted in optimiser steps; None does not count them.
        monitor: metric whose best value best.ckpt keeps.
        mode: whether a small or a large value of `monitor` is good.
    """

    every_seconds: float = 10.0
    every_steps: int | None = None
    monitor: str = "val/loss"
    mode: Literal["min", "max"] = "min"


class Interrupted(Exception):
    """The run was asked to stop; its last checkpoint is saved, and it can be resumed."""


class Stopped(Exception):
    """The run is not worth going on with; its last checkpoint is saved."""


class Checkpoints(Checkpoint):
    """Writes FOLDER/checkpoints/last.ckpt and best.ckpt so that a resumed run equals an undisturbed one.

    The last.ckpt before stays as previous.ckpt, for the case that the disk damages the last one.

    A checkpoint is taken only where Lightning's loops resume without losing a row or repeating one: after a
    training batch that no validation follows, after a validation, and at the end. It holds the state of
    torch's random generators besides what Lightning saves.

    Args:
        folder: the run folder.
        policy: when to write.
        metrics: the run's metrics, which must be on disk before the step that a checkpoint resumes from.

    Attributes:
        stop_reason: set it, and the next point where saving is possible raises `Interrupted`.
        stopped: set it, and the next point where saving is possible raises `Stopped`.
    """

    def __init__(self, folder: Path, policy: CheckpointPolicy, metrics: MetricsFile) -> None:
        self._folder = folder / "checkpoints"
        self.policy, self._metrics = policy, metrics
        self._best: float | None = None
        self._last_validation = False
        self._saved_at, self._saved_step = time.monotonic(), 0
        self._random: dict[str, Any] | None = None
        self.stop_reason: str | None = None
        self.stopped: str | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far and the state of the random generators."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        generators = {"torch": torch.get_rng_state(), "cuda": cuda, "python": random.getstate()}
        generators, *others = of_all_processes(generators)
        return {"best": self._best, "random": generators, **({"others": others} if others else {})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        self._best = state_dict["best"]
        generators = [state_dict["random"], *state_dict.get("others", [])]
        if rank() < len(generators):
            self._random = generators[rank()]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the random generators where they were."""
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        self.restore_random()

    def restore_random(self) -> None:
        """Put the random generators where they were when the checkpoint that was loaded was written."""
        if self._random is not None:
            torch.set_rng_state(self._random["torch"].cpu())
            if self._random["cuda"] and torch.cuda.device_count() == len(self._random["cuda"]):
                torch.cuda.set_rng_state_all([state.cpu() for state in self._random["cuda"]])
            version, numbers, gauss = self._random["python"]
            random.setstate((version, tuple(numbers), gauss))

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Save when it is time and no validation follows; the validation's end saves else."""
        loop = trainer.fit_loop.epoch_loop
        if trainer.global_step == trainer.max_steps and not _validates_now(trainer):
            self._last_validation = True
            trainer.val_check_batch = (
                loop.batch_idx + 1 if trainer.check_val_every_n_epoch else trainer.global_step
            )
        due, self.stop_reason, self.stopped = agreed(self._due(trainer), self.stop_reason, self.stopped)
        if due and not _validates_now(trainer) and not loop._should_accumulate():
            self.flush_row(trainer)
            self._save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, and keep the best."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        _, self.stop_reason, self.stopped = agreed(False, self.stop_reason, self.stopped)
        # A run that is given more steps finds no validation due here, behind which it would count the step.
        trainer.fit_loop.epoch_loop._batches_that_stepped += self._last_validation
        self._keep_best(trainer)
        self._save(trainer)
        trainer.fit_loop.epoch_loop._batches_that_stepped -= self._last_validation

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let a schedule that follows a metric see it at the end of an epoch that was resumed, too."""
        # Lightning leaves that out, as its checkpoints hold no metrics; `Record` has brought them back.
        if trainer.fit_loop.restarting and trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            trainer.fit_loop.epoch_loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the end, where no validation was the last thing done."""
        self.stop_reason = None
        if trainer.global_step != self._saved_step:
            self._save(trainer)

    def improves(self, value: float) -> bool:
        """Tell whether `value` is the best so far of the monitored metric, and remember it if it is."""
        sign = 1 if self.policy.mode == "min" else -1
        better = self._best is None or sign * value < sign * self._best
        if better:
            self._best = value
        return better

    def flush_row(self, trainer: L.Trainer) -> None:
        """Log the row of the training batch that is ending, which Lightning does only behind this hook."""
        trainer._logger_connector.update_train_step_metrics()

    def _keep_best(self, trainer: L.Trainer) -> None:
        value = trainer.callback_metrics.get(self.policy.monitor)
        if value is not None and self.improves(value.item()):
            self._metrics.flush(durably=True)
            self._write(trainer, BEST)

    def _due(self, trainer: L.Trainer) -> bool:
        steps = self.policy.every_steps
        return (
            self.stop_reason is not None
            or self.stopped is not None
            or (steps is not None and trainer.global_step % steps == 0)
            or time.monotonic() - self._saved_at >= self.policy.every_seconds
        )

    def _save(self, trainer: L.Trainer) -> None:
        self._metrics.flush(durably=True)
        self._write(trainer, LAST)
        self._saved(trainer)

    def _write(self, trainer: L.Trainer, name: str) -> None:
        content = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        if trainer.is_global_zero:
            self.keep(content, name)
        trainer.strategy.barrier()

    def keep(self, content: dict[str, Any], name: str) -> None:
        """Write a checkpoint; of the last one, the one before stays as well.

        Raises:
            OSError: it cannot be written.
        """
        previous = self._folder / PREVIOUS if name == LAST else None
        write_checkpoint(content, self._folder / name, previous)

    def _saved(self, trainer: L.Trainer) -> None:
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        if self.stopped is not None:
            raise Stopped(self.stopped)
        if self.stop_reason is not None:
            raise Interrupted(self.stop_reason)


def _validates_now(trainer: L.Trainer) -> bool:
    """Tell whether validation follows the training batch that is ending."""
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return trainer.enable_validation and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)
