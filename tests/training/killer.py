"""A callback that ends a run in the middle, named on the command line by its import path."""

import os
import signal

import lightning as L


class Kill(L.Callback):
    """Kill the process, as kill -9 does, before training batch `step` (counted over all epochs)."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class Crash(Kill):
    """Raise instead."""

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.step:
            raise RuntimeError("crash")
