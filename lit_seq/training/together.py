"""What can be trained by several processes, and by how many."""

from typing import Any

import lightning as L
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from lit_seq.cells.batch_norm import BatchNorm
from lit_seq.data.module import SequenceData
from lit_seq.errors import UserError
from lit_seq.topologies import MotifAutoencoder, Topology


def in_one_process(options: Any) -> None:
    """Change a trainer's options to those of one process: what evaluates a model need not train it."""
    devices = options.devices
    options.devices = devices[:1] if isinstance(devices, list) else 1
    options.num_nodes, options.strategy = 1, "auto"


def is_one_process(options: Any) -> bool:
    """Tell whether a trainer with these options is one process, whatever started it."""
    devices = options.devices
    count = len(devices) if isinstance(devices, list) else devices
    return str(count) == "1" and str(options.num_nodes) == "1"


def check_processes(
    trainer: L.Trainer,
    model: L.LightningModule,
    data: L.LightningDataModule,
    checkpoint: dict[str, Any] | None,
) -> None:
    """Refuse what several processes cannot train, or not go on with.

    Args:
        trainer: the run's.
        model: what it trains.
        data: what it trains on.
        checkpoint: where it goes on; None for a new run.

    Raises:
        UserError: one of these.
    """
    processes = trainer.world_size
    started = TorchElasticEnvironment().world_size() if TorchElasticEnvironment.detect() else processes
    if started != processes:
        raise UserError(
            f"torchrun has started {started} processes, and trainer.devices times trainer.num_nodes is"
            f" {processes}; they must be the same."
        )
    data.trainer = trainer
    if processes > 1:
        _check_trainer(trainer)
        _check_model(model)
    if isinstance(data, SequenceData):
        if checkpoint is not None:
            _check_batches(data, checkpoint.get(type(data).__qualname__) or {})
        if processes > 1:
            # What is wrong with batches so large is said before anything starts.
            data.train_dataloader()


def _check_trainer(trainer: L.Trainer) -> None:
    strategy = trainer.strategy
    if not isinstance(strategy, DDPStrategy) or strategy._start_method != "popen":
        raise UserError(
            f"trainer.devices is {trainer.num_devices}, which takes the strategy ddp; trainer.strategy must"
            " be auto, ddp or ddp_find_unused_parameters_true."
        )
    environment = strategy.cluster_environment
    if trainer.num_nodes > 1 and environment is not None and not environment.creates_processes_externally:
        raise UserError(
            f"trainer.num_nodes is {trainer.num_nodes}; on several machines torchrun or srun starts lit-seq."
        )


def _check_model(model: L.LightningModule) -> None:
    name = type(model).__name__
    if isinstance(model, Topology) and model.alone:
        raise UserError(f"{name} trains in one process, as {model.alone}; trainer.devices must be 1.")
    if isinstance(model, MotifAutoencoder) and model.cluster_weight > 0:
        raise UserError(
            f"{name}: cluster_weight is about a whole batch, of which each process has a part; it must be 0,"
            " or trainer.devices 1."
        )
    if any(isinstance(module, BatchNorm | nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        raise UserError(
            f"{name} normalises by the statistics of a whole batch, of which each process has a part;"
            " trainer.devices must be 1."
        )


def _check_batches(data: SequenceData, before: dict[str, int]) -> None:
    size, processes = data.batch_size, data.processes
    if before and before["processes"] != processes and before["batch_size"] != size:
        raise UserError(
            f"The run has batches of {before['batch_size']} sequences and would go on with {size}:"
            f" data.batch_size times the number of processes ({before['processes']}, and now {processes})"
            " must stay the same."
        )
