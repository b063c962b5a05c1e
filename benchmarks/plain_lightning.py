"""The trials of `sweep_throughput.py` as a Lightning user writes them, with torch.nn and without lit-seq.

    python benchmarks/plain_lightning.py '{"cell": "LSTM", "hidden": 64, …}' ['{…}' …]

Each argument is a trial, trained one after another in this process. At the end of each, a JSON line on the
standard output gives the seconds a step takes once training is under way. Of lit-seq there is only the data.
"""

import json
import sys
import time
from typing import Any

import lightning as L
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor, nn
from torch.nn import functional

from lit_seq.data import AddingProblem

LAYERS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "IRNN": nn.RNN}


class Regression(L.LightningModule):
    """Reads a sequence and answers with one number.

    Args:
        cell: a key of `LAYERS`; IRNN starts from the identity (Le, Jaitly and Hinton 2015).
        hidden: hidden units.
        lr: Adam's learning rate.
    """

    def __init__(self, cell: str, hidden: int, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        options = {"nonlinearity": "relu"} if cell == "IRNN" else {}
        self.rnn = LAYERS[cell](2, hidden, **options)
        if cell == "IRNN":
            nn.init.eye_(self.rnn.weight_hh_l0)
        self.head = nn.Linear(hidden, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the mean squared error of the answer after the last step."""
        _, state = self.rnn(batch.inputs.transpose(0, 1))
        h = state[0] if isinstance(state, tuple) else state
        loss = functional.mse_loss(self.head(h[-1]), batch.targets)
        self.log("train/loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class Pace(L.Callback):
    """Takes the time of all steps but the first ones."""

    skipped = 20

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Look at the clock when the first steps are over, and at the end."""
        if trainer.global_step == self.skipped:
            self.start = time.perf_counter()
        elif trainer.global_step == trainer.max_steps:
            self.seconds_a_step = (time.perf_counter() - self.start) / (trainer.max_steps - self.skipped)


def train(
    cell: str,
    hidden: int,
    length: int,
    batch: int,
    steps: int,
    lr: float,
    clip: float,
    seed: int,
    folder: str,
) -> float:
    """Train one trial and return the seconds that a step takes."""
    L.seed_everything(seed)
    data = AddingProblem(length, batch_size=batch, validation_size=0)
    model = Regression(cell, hidden, lr)
    pace = Pace()
    trainer = L.Trainer(
        max_steps=steps,
        gradient_clip_val=clip,
        logger=WandbLogger(project="plain", save_dir=folder, offline=True),
        callbacks=[pace],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    wandb.finish()
    return pace.seconds_a_step


if __name__ == "__main__":
    for trial in sys.argv[1:]:
        print(json.dumps({"seconds_a_step": train(**json.loads(trial))}), flush=True)
