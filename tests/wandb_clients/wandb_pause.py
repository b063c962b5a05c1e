"""What makes a run slow enough to be stopped in the middle, named by its import path."""

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

from lit_seq.data import AddingProblem
from lit_seq.data.batch import Batch


class Pause(L.Callback):
    """Sleep before each training batch."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, *args: object) -> None:
        time.sleep(self.seconds)


class SlowAdding(AddingProblem):
    """The adding problem with a sleep before each batch, a long one while there is a file "hold".

    A pack can have it as well.
    """

    def __init__(self, seconds: float = 0.0, **adding: Any) -> None:
        super().__init__(**adding)
        self.seconds = seconds

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        time.sleep(0.5 if Path("hold").exists() else self.seconds)
        return super().generate(size, generator)
