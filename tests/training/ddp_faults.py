"""Callbacks by which one of several processes fails, or waits."""

import os
import signal
import time
from pathlib import Path

import lightning as L

from lit_seq.errors import UserError


class Fault(L.Callback):
    """Fails at the end of a batch.

    Args:
        kind: "user", "bug" or "killed".
        rank: in which process.
        batch: at the end of which batch.
    """

    def __init__(self, kind: str, rank: int = 1, batch: int = 3) -> None:
        self.kind, self.rank, self.batch = kind, rank, batch

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        if trainer.global_rank != self.rank or trainer.fit_loop.total_batch_idx != self.batch:
            return
        if self.kind == "user":
            raise UserError("The cat is on the table; it must be under it.")
        if self.kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("No cat.")


class Pause(L.Callback):
    """Waits in the first process, in the middle of an epoch, until it is interrupted.

    Args:
        folder: where a file "paused" says so, and is there as long as it waits.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "paused"

    def on_train_batch_end(self, trainer: L.Trainer, *args: object) -> None:
        if trainer.global_rank == 0 and trainer.global_step == 15:
            self.path.touch()
            while self.path.exists():
                time.sleep(0.05)
