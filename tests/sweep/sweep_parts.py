"""Callbacks and a cell for trials, named in sweep files by their import path."""

import os
import signal
import time
from pathlib import Path

import lightning as L

from lit_seq.cells import Elman


class KillOnce(L.Callback):
    """Kill the process, as the kernel does when memory runs out, before a step of one run, but once."""

    def __init__(self, marker: str, name: str, step: int) -> None:
        self.marker, self.name, self.step = Path(marker), name, step

    def on_train_batch_start(self, trainer, *args):
        here = Path(trainer.default_root_dir).name == self.name
        if here and trainer.global_step == self.step and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Slow(L.Callback):
    """Take some time for each step as long as a file exists."""

    def __init__(self, marker: str, seconds: float = 0.05) -> None:
        self.marker, self.seconds = Path(marker), seconds

    def on_train_batch_start(self, trainer, *args):
        if self.marker.exists():
            time.sleep(self.seconds)


class Broken(Elman):
    """Fails in its first step."""

    def step(self, projected, state):
        raise RuntimeError("this cell is broken")
