"""What the trials of the broken sweeps are made of: slow steps that cost no processor time."""

import time

import lightning as L
import torch

from lit_seq.data import AddingProblem, Batch


class SlowAdding(AddingProblem):
    """The adding problem, each batch of which takes some hundredths of a second."""

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        time.sleep(0.03)
        return super().generate(size, generator)


class Slow(L.Callback):
    """Makes steps slow, and keeps its trial out of packs, as every callback of a user's does."""

    def on_train_batch_start(self, *args: object) -> None:
        time.sleep(0.03)
