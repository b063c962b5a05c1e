"""The LightningModule that trains many trials as one."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from lit_seq.data.module import SequenceData
from lit_seq.packing.batches import PackBatch, of_trial
from lit_seq.packing.clipping import Clipping, norms
from lit_seq.packing.function import DifferentShapes, Step, Unpackable, check_hooks
from lit_seq.packing.held_out import HeldOut
from lit_seq.packing.keys import different_keys, trainer_values
from lit_seq.packing.loader import HOOKS, PackLoader
from lit_seq.packing.memory import TooLarge, free_bytes, step_bytes
from lit_seq.packing.optimizer import StackedOptimizer
from lit_seq.packing.stacked import StackedModel
from lit_seq.packing.trial import PackedTrial
from lit_seq.packing.update_rules import without_rule
from lit_seq.topologies import Topology
from lit_seq.topologies.topology import log_every


class StackedSchedule(LRScheduler):
    """The trials' own schedulers, stepped together.

    Args:
        optimizer: whose values follow the trials' optimisers.
        trials: one scheduler a trial.
    """

    def __init__(self, optimizer: StackedOptimizer, trials: Sequence[LRScheduler]) -> None:
        self.optimizer = optimizer
        self.trials = list(trials)

    def step(self, epoch: int | None = None) -> None:
        """Let every trial's scheduler set its values."""
        with warnings.catch_warnings():
            # The trials' own optimisers never step: the stacked one does.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            for scheduler in self.trials:
                scheduler.step()
        self.optimizer.refresh()  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: a trial's checkpoint holds its own scheduler's state."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing; see `state_dict`."""


class Pack(L.LightningModule):
    """Trains trials that differ in values only, as one stacked model.

    The losses of the trials are summed and backward runs once: a trial's gradient is what it is alone.
    Clipping, optimiser values, schedules and logging are per trial.

    Args:
        trials: the trials, each built alone from its own seed.

    Raises:
        Unpackable: they cannot be stacked.
    """

    def __init__(self, trials: Sequence[PackedTrial]) -> None:
        super().__init__()
        self.trials = list(trials)
        for trial in trials:
            trainer_values(trial.trainer_config)
            if not trial.has_one_optimizer:
                raise Unpackable("there is more than one optimiser or parameter group")
            check_hooks(trial.datamodule, HOOKS, L.LightningDataModule, SequenceData)
            if isinstance(trial.scheduler, dict):
                raise Unpackable("the schedule has options of its own")
            if without := without_rule(trial.optimizer):
                raise Unpackable(without)
            if isinstance(trial.scheduler, ReduceLROnPlateau):
                raise Unpackable("ReduceLROnPlateau follows the metrics of a single run")
        try:
            self.stacked = StackedModel([trial.model for trial in trials], [trial.stream for trial in trials])
        except DifferentShapes as difference:
            named = ", ".join(different_keys([trial.model_config for trial in trials], "model"))
            raise Unpackable(f"{difference}; of {named}, declared as values, one changes a shape") from None
        self._carries = getattr(self.stacked.template, "carries_state", False)
        self._tried: set[bool] = set()
        self._sized = len(self.trials) == 1
        self._clip = Clipping([trial.clip for trial in trials])
        self._carried: Any = None
        self._set_aside: Any = None
        self._logged: dict[str, Tensor] = {}
        self._held_out = HeldOut(self.stacked.function, len(self.trials))
        keys = [trial.data_key for trial in trials]
        groups = list(dict.fromkeys(keys))
        self._rows = [groups.index(key) for key in keys]
        first = [trials[keys.index(key)] for key in groups]
        self._datas = [trial.datamodule for trial in first]
        self._data_streams = [trial.stream for trial in first]
        for trial in trials:
            trial.prepare(data=trial in first)
        self._loaders: list[PackLoader] = []

    def train_dataloader(self) -> PackLoader:
        """Return the trials' training batches."""
        return self._loader([data.train_dataloader() for data in self._datas])

    def val_dataloader(self) -> PackLoader | list[Any]:
        """Return the trials' validation batches."""
        loaders = [data.val_dataloader() for data in self._datas]
        return self._loader(loaders) if all(loaders) else []

    def held_out_data(self, row: int) -> Any:
        """Return a trial's own validation batches, from their beginning."""
        return self._datas[self._rows[row]].val_dataloader()

    def on_fit_start(self) -> None:
        """Bring a carried state out of a checkpoint, which is read on the CPU, to where the trials are."""
        if self._carried is not None:
            self._carried = torch.utils._pytree.tree_map(lambda leaf: leaf.to(self.device), self._carried)

    def training_step(self, batch: PackBatch, batch_idx: int) -> Tensor:
        """Return the sum of the trials' losses.

        Raises:
            TooLarge: at the first step, where so many trials do not fit into memory.
        """
        if not self._sized:
            self._check_size(batch)
        self.stacked.at_step(self.trainer.global_step)
        step = self._measure_in_turn(batch, batch_idx)
        if self._logs_now():
            means = {name: value.detach() for name, value in step.means.items()}
            self._logged = self.stacked.function.metrics("train", means)
        return step.loss.sum()

    def on_validation_epoch_start(self) -> None:
        """Put training's carried state aside: validation starts its own."""
        self._set_aside, self._carried = self._carried, None
        self._held_out = HeldOut(self.stacked.function, len(self.trials))

    def validation_step(self, batch: PackBatch, batch_idx: int) -> None:
        """Add what the batch says of each trial."""
        self._held_out.add(batch, self._measure_in_turn(batch, batch_idx))

    def on_validation_epoch_end(self) -> None:
        """Log what the epoch said of each trial."""
        self._carried = self._set_aside
        if not self.trainer.sanity_checking:
            self._write(self._held_out.metrics())

    def configure_optimizers(self) -> Any:
        """Return the stacked optimiser, and the stacked schedule where the trials have one."""
        optimizer = StackedOptimizer(list(self.stacked.stacked), [trial.optimizer for trial in self.trials])
        schedulers = [trial.scheduler for trial in self.trials]
        if schedulers[0] is None:
            return optimizer
        return [optimizer], [StackedSchedule(optimizer, schedulers)]  # type: ignore[arg-type]

    def configure_gradient_clipping(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        """Clip each trial by its own threshold, and log norms before and after."""
        gradients = self._optimizer.gradients()
        logs = self._logs_now() and isinstance(self.stacked.template, Topology)
        if logs:
            self._logged["train/gradient_norm"] = norms(gradients)
        self._clip(gradients)
        if logs and self._clip.any:
            self._logged["train/gradient_norm_clipped"] = norms(gradients)

    def write_training_row(self) -> bool:
        """Log what the step that is ending left to log, and tell whether that was something."""
        if not self._logged:
            return False
        self._write(self._logged)
        self._logged = {}
        return True

    def drop(self, rows: Sequence[int]) -> None:
        """Take trials out of the stack, between two steps."""
        kept = [row for row in range(len(self.trials)) if row not in rows]
        index = torch.tensor(kept, device=self.device)
        self.stacked.keep(kept)
        self._optimizer.keep(list(self.stacked.stacked), kept)
        for config in self.trainer.lr_scheduler_configs:
            assert isinstance(config.scheduler, StackedSchedule)
            config.scheduler.trials = [config.scheduler.trials[row] for row in kept]
        if self._carried is not None:
            self._carried = torch.utils._pytree.tree_map(lambda state: state[index], self._carried)
        self.trials = [self.trials[row] for row in kept]
        self._clip = Clipping([trial.clip for trial in self.trials])
        self._rows = [self._rows[row] for row in kept]
        for loader in self._loaders:
            loader.rows = list(self._rows)

    @property
    def carried(self) -> list[Tensor]:
        """Tensors of the state that training carries to the next batch, each (trials, …)."""
        return torch.utils._pytree.tree_leaves(self._carried) if self._carried is not None else []

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the carried state up again."""
        leaves = checkpoint.get("carried_state")
        if leaves:
            assert isinstance(self.stacked.template, Topology)
            start = self.stacked.template.initial_state(leaves[0].shape[1])
            _, structure = torch.utils._pytree.tree_flatten(start)
            self._carried = torch.utils._pytree.tree_unflatten(leaves, structure)

    @property
    def _optimizer(self) -> StackedOptimizer:
        optimizer = self.trainer.optimizers[0]
        assert isinstance(optimizer, StackedOptimizer)
        return optimizer

    def _check_size(self, batch: PackBatch) -> None:
        """Compare what a step of one trial takes with the memory that is free."""
        self._sized = True
        one = of_trial(batch, 0)
        with self._trying(), self.stacked.first_alone() as alone:
            taken = step_bytes(lambda: alone(one), self.stacked.trial_bytes, self.device)
        self.zero_grad()
        fits = max(1, free_bytes(self.device) // max(1, taken))
        if fits < len(self.trials):
            raise TooLarge(fits)

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Say that the trials cannot be stacked if this is the first step, and fails under vmap."""
        try:
            yield
        except Unpackable:
            raise
        except Exception as error:
            # What a first step cannot do, no later one and no smaller pack can.
            if self.training in self._tried or _out_of_memory(error):
                raise
            raise Unpackable(f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]) from error
        self._tried.add(self.training)

    def _measure_in_turn(self, batch: PackBatch, batch_idx: int) -> Step:
        self.stacked.function.train(self.training)
        state = self._carried if self._carries and batch_idx else None
        with self._trying():
            step = self.stacked.measure(batch, state, batch_idx)
        if self._carries:
            self._carried = torch.utils._pytree.tree_map(torch.detach, step.state)
        return step

    def _loader(self, loaders: list[Any]) -> PackLoader:
        if len({len(loader) for loader in loaders}) > 1:
            raise Unpackable("the trials' epochs have different lengths")
        self._loaders.append(PackLoader(loaders, self._rows, self._data_streams))
        return self._loaders[-1]

    def _logs_now(self) -> bool:
        step = self.trainer.fit_loop.epoch_loop._batches_that_stepped
        return (step + 1) % log_every(self.trainer) == 0 and not self.trainer.fit_loop._should_accumulate()

    def _write(self, metrics: dict[str, Tensor]) -> None:
        if not metrics:
            return
        # One transfer from the device for all trials and metrics.
        table = torch.stack([value.double() for value in metrics.values()]).tolist()
        step = self.trainer.fit_loop.epoch_loop._batches_that_stepped
        for row, trial in enumerate(self.trials):
            clipped = bool(trial.clip[0])
            values = {
                name: column[row]
                for name, column in zip(metrics, table, strict=True)
                if clipped or name != "train/gradient_norm_clipped"
            }
            trial.recording.log({**values, "epoch": self.trainer.current_epoch}, step)


def _out_of_memory(error: Exception) -> bool:
    # On a CPU it is a RuntimeError like any other.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
