"""What a trial leaves behind while it trains: metrics, status, checkpoints, samples and its W&B run."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.errors import UserError
from lit_seq.run_folder import ENDED, State, Status, replacing
from lit_seq.training.checkpoints import CheckpointPolicy, Checkpoints
from lit_seq.training.halving import Halving
from lit_seq.training.hyperband import Hyperband
from lit_seq.training.metrics_file import MetricsFile
from lit_seq.training.record import Record
from lit_seq.training.samples import Samples
from lit_seq.training.wandb_common import TOLD
from lit_seq.training.wandb_run import Wandb, WandbRun
from lit_seq.training.wandb_stop import StopOnRequest, forget


class Recording:
    """All that is kept of one trial, in its run folder and at W&B.

    Args:
        folder: the run folder; a status.json there is continued.
        config: the full configuration, as plain data.
        seed: the run's seed.
        wandb: where the run is mirrored.
        policy: when checkpoints are written.
        hyperband: how the run is compared with others; None for not at all.
        resume_after: the last step that a resumed run keeps; None for a new one.

    Attributes:
        loggers: where metrics go.
        callbacks: what Lightning calls, and whose state is part of a checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        seed: int,
        wandb: Wandb,
        policy: CheckpointPolicy,
        hyperband: Hyperband | None,
        resume_after: int | None,
    ) -> None:
        self.folder, self._config = folder, config
        status = Status.read(folder) if (folder / "status.json").exists() else Status()
        status.seed, status.pack = seed, 1
        status.wandb_run_id = status.wandb_run_id or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        with disk_errors(folder):
            self.metrics = MetricsFile(folder, resume_after, hyperband.metric if hyperband else None)
        told = {"overrides": list(status.overrides)}
        self.wandb_run = (
            None
            if wandb.mode == "disabled"
            else WandbRun(folder, wandb, status.wandb_run_id, {**config, **status.overrides, TOLD: told})
        )
        self.record = Record(folder, status, self.metrics)
        self.samples = Samples(folder, self.metrics, self.wandb_run)
        self.checkpoints = Checkpoints(folder, policy, self.metrics)
        self.halving = Halving(hyperband, folder.name, self.metrics, self.checkpoints) if hyperband else None
        self.loggers = [self.metrics, *([self.wandb_run] if self.wandb_run else [])]
        halving = [self.halving] if self.halving else []
        stop = StopOnRequest(folder, self.checkpoints)
        self.callbacks: list[L.Callback] = [self.record, self.samples, *halving, stop, self.checkpoints]

    @rank_zero_only
    def begin(self) -> None:
        """Write config.yaml and status.json, and start the W&B run."""
        if self.wandb_run:
            # First, so that nothing is written where W&B refuses the run.
            _ = self.wandb_run.experiment
        with disk_errors(self.folder):
            if not (self.folder / "config.yaml").exists():
                with replacing(self.folder / "config.yaml") as file:
                    yaml.safe_dump(self._config, file, sort_keys=False)
            self.record.write("running")

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Add a row to metrics.csv and to the W&B run."""
        for logger in self.loggers:
            logger.log_metrics(metrics, step)

    @rank_zero_only
    def finish(self, state: State, reason: str | None = None, preempted: bool = False) -> None:
        """Write what is left, and begin to end the W&B run; `join` waits for its end.

        Args:
            state: how the run ended; one that "running" is finished with can be resumed.
            reason: why.
            preempted: the run was interrupted from outside; W&B may let another machine go on with it.
        """
        with disk_errors(self.folder):
            self.metrics.flush()
            self.record.write(state, reason=reason)
        if state in ENDED:
            forget(self.folder)
        if self.wandb_run:
            self.wandb_run.tell(self.record.status)
            self.wandb_run.close(0 if state in ("finished", "stopped") else 1, preempted)
        name = self.checkpoints.policy.monitor
        figure = f", {name} {self.metrics.latest[name]:.4g}" if name in self.metrics.latest else ""
        print(f"{state}{f' ({reason})' if reason else ''}{figure}: {self.folder}", file=sys.stderr)

    def join(self) -> None:
        """Wait until W&B has taken all there is, as long as it may take for that."""
        if self.wandb_run:
            self.wandb_run.join()


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say in one sentence that the disk is full or the folder cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(f"{error.filename or folder} cannot be written or read: {error.strerror}.") from error
