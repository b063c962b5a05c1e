"""The diagnostic contract: measure now and then, and leave arrays, numbers and drawings."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.data.module import held_out
from lit_seq.diagnostics.arrays import append
from lit_seq.errors import UserError
from lit_seq.samples import Sample
from lit_seq.topologies import Topology


class Findings(NamedTuple):
    """What a diagnostic finds at one moment of training.

    Attributes:
        arrays: name to array, of the same names and shapes at each moment.
        numbers: name to what is logged where it is finite, behind `diagnostics/`.
        samples: how a person sees it.
    """

    arrays: dict[str, Tensor]
    numbers: dict[str, float]
    samples: Sequence[Sample]


class Diagnostic(L.Callback, ABC):
    """A callback that looks into a model after the first step, every so many, half-way and at the end.

    In a pack it is called for each of its trials in turn, with an ordinary model of that trial.

    Args:
        every: optimiser steps between two looks.

    Attributes:
        samples: how a person sees what was found last.

    Raises:
        UserError: `every` is below 1.
    """

    def __init__(self, every: int = 500) -> None:
        self._name = type(self).__name__
        if every < 1:
            raise UserError(f"{self._name}: every is {every}; it must be at least 1.")
        self.every = every
        self._step = 0
        self.samples: Sequence[Sample] = ()

    @abstractmethod
    def find(self, model: Topology, batches: Iterable[Batch]) -> Findings:
        """Look into `model`, which is in evaluation mode.

        Args:
            model: the trial's.
            batches: held-out data, where the model is.

        Raises:
            UserError: the diagnostic is not for this model.
        """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a model whose insides are not known.

        Raises:
            UserError: it is no topology.
        """
        if not isinstance(pl_module, Topology):
            kind = type(pl_module).__name__
            raise UserError(f"{self._name} is for the topologies of lit-seq; the model is a {kind}.")

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Look where it is time."""
        if self.is_due(trainer) and isinstance(pl_module, Topology):
            self.write(trainer, pl_module, held_out(trainer))

    def is_due(self, trainer: L.Trainer) -> bool:
        """Return whether it is time to look, and that was not done yet."""
        step, steps = trainer.global_step, trainer.estimated_stepping_batches
        # Samples are written at these three, and what was found last is among them.
        return step > self._step and (step in (1, steps // 2, steps) or step % self.every == 0)

    @rank_zero_only
    def write(self, trainer: L.Trainer, model: Topology, held_out: Iterable[Batch]) -> None:
        """Write what is found; nothing where the model is no longer finite.

        Args:
            trainer: whose loggers and folder are written to.
            model: the trial's.
            held_out: its held-out batches.
        """
        self._step = trainer.global_step
        if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
            return
        was_training = model.training
        model.eval()
        convert = trainer.precision_plugin.convert_input
        batches = (convert(model.transfer_batch_to_device(batch, model.device, 0)) for batch in held_out)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = self.find(model, batches)
        model.train(was_training)
        self.samples = found.samples
        append(Path(trainer.default_root_dir) / "diagnostics" / f"{self._name}.npz", self._step, found.arrays)
        finite = {name: value for name, value in found.numbers.items() if math.isfinite(value)}
        numbers = {f"diagnostics/{name}": value for name, value in finite.items()}
        for logger in trainer.loggers:
            # Lightning counts the steps of its rows from zero.
            logger.log_metrics({**numbers, "epoch": trainer.current_epoch}, self._step - 1)
