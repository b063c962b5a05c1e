"""Modules as a user of Lightning writes them, without the base classes of lit-seq."""

import os
import signal
from typing import ClassVar

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lit_seq.cells import GRU
from lit_seq.data import AddingProblem
from lit_seq.scan import scan


class Counter(L.LightningModule):
    """Counts the ones of a sequence."""

    values: ClassVar = ("dropout", "lr", "momentum")

    def __init__(self, hidden_size: int = 6, dropout: float = 0.2, lr: float = 0.05, momentum: float = 0.9):
        super().__init__()
        self.save_hyperparameters()
        self.noise = nn.Dropout(dropout)
        self.cell = GRU(1, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, bits):
        outputs, _ = scan(self.cell, self.noise(bits).transpose(0, 1))
        return self.head(self.dropout(self.norm(outputs[-1]))).squeeze(-1)

    def training_step(self, batch, batch_idx):
        bits, count = batch
        loss = F.mse_loss(self(bits), count)
        self.log("train/loss", loss)
        return {"loss": loss}

    def validation_step(self, batch, batch_idx):
        bits, count = batch
        error = self(bits) - count
        self.log_dict({"val/loss": error.square().mean(), "worst": error.abs().max()})

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=self.hparams.momentum)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2)}


class WithBatchNorm(Counter):
    """Cannot be stacked: its norm remembers batches."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)


class Reading(Counter):
    """Cannot be stacked: it reads a value in Python."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss if loss["loss"].item() > 0 else None


class Hooked(Counter):
    """Cannot be stacked: it acts in a hook."""

    def on_train_batch_start(self, batch, batch_idx):
        pass


class Calling(Counter):
    """Cannot be stacked: it brings a callback."""

    def configure_callbacks(self):
        return [L.pytorch.callbacks.LearningRateMonitor()]


class Wrong(Counter):
    """Declares a value that changes a shape."""

    values: ClassVar = ("hidden_size",)


class Bits(L.LightningDataModule):
    def setup(self, stage):
        bits = torch.randint(0, 2, (45, 7, 1), generator=torch.Generator().manual_seed(3)).float()
        self.data = TensorDataset(bits.double(), bits.sum((1, 2)).double())

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=10, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.data, batch_size=10)


class Shifted(Bits):
    """Cannot be stacked: it changes its batches on their way to the device."""

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch[0] + 1, batch[1]


class Deadly(AddingProblem):
    """Kills the process that trains on it, if its seed is 13."""

    def train_dataloader(self):
        if self.seed == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().train_dataloader()
