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
    """The adding problem with a sleep before each batch, which a pack can have as well.

    While there is a file "hold", a long one from the sixtieth on.
    """

    def __init__(self, seconds: float = 0.0, **adding: Any) -> None:
        super().__init__(**adding)
        self.seconds = seconds
        self.generated = 0

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        self.generated += 1
        time.sleep(1.0 if self.generated > 60 and Path("hold").exists() else self.seconds)
        return super().generate(size, generator)
