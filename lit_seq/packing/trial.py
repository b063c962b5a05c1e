"""One trial of a pack: built alone, as it would be without the pack."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, ClassVar, cast

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_seq.diagnostics import Diagnostic
from lit_seq.packing.clipping import Threshold
from lit_seq.packing.randomness import Stream
from lit_seq.run_folder import State
from lit_seq.training.run import Run


class PackedTrial(Run):
    """Data, model, optimiser and recording of one `lit-seq fit`, built from its own seed but not trained.

    Args:
        arguments: the command line behind `lit-seq`.
        printing: context in which what is printed goes to the trial's log.

    Raises:
        UserError: the command line is wrong.
    """

    _setup: ClassVar[dict[str, Any]] = {}

    def __init__(self, arguments: Sequence[str], printing: Callable[[], AbstractContextManager[Any]]) -> None:
        self.printing = printing
        super().__init__(arguments)
        self.stream = Stream()

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Share one parser among all trials of this process: making it takes longer than parsing."""
        if not self._setup:
            before = set(vars(self))
            super().setup_parser(*args, **kwargs)
            self._setup.update({name: value for name, value in vars(self).items() if name not in before})
        vars(self).update(self._setup)

    def prepare(self, data: bool) -> None:
        """Do what a single run does between its building and its first step.

        Args:
            data: whether the trial's own data module is used.
        """
        with self.stream.drawn_from():
            if data:
                self.datamodule.prepare_data()
                self.datamodule.setup("fit")
            if self.checkpoint is not None:
                self.recording.checkpoints.restore_random()

    def finish(self, state: State, reason: str | None = None, preempted: bool = False) -> None:
        """End the recording, and say so in the trial's log."""
        with self.printing():
            self.recording.finish(state, reason, preempted)

    def join(self) -> None:
        """Wait until W&B has taken what the trial left."""
        with self.printing():
            self.recording.join()

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Make the recording; the trainer is the pack's."""
        self.recording = self._record()
        own = self.trainer_arguments()["callbacks"] or []
        own = own if isinstance(own, list) else [own]
        # No other callback of the user's stacks (`lit_seq.packing.keys`).
        self.early_stopping = [one for one in own if isinstance(one, EarlyStopping)]
        self.diagnostics = [one for one in own if isinstance(one, Diagnostic)]
        optimizers, schedulers = _listed(self.model.configure_optimizers())
        self.has_one_optimizer = len(optimizers) == 1 and len(optimizers[0].param_groups) == 1
        self.optimizer: Optimizer = optimizers[0]
        self.scheduler: LRScheduler | None = schedulers[0] if schedulers else None
        if self.checkpoint is not None and self.has_one_optimizer:
            self._resume(self.checkpoint)
        return cast(L.Trainer, None)

    def _run_subcommand(self, subcommand: str) -> None:
        pass

    @property
    def options(self) -> Any:
        """The subcommand's configuration."""
        return self.config[self.subcommand]

    @property
    def model_config(self) -> dict[str, Any]:
        """The model's part of the configuration, as plain data."""
        return self._plain["model"]

    @property
    def trainer_config(self) -> dict[str, Any]:
        """The trainer's part of the configuration, as plain data."""
        return self._plain_config()["trainer"]

    @property
    def clip(self) -> Threshold:
        """The trial's clipping threshold and kind."""
        trainer = self.options.trainer
        return trainer.gradient_clip_val, trainer.gradient_clip_algorithm or "norm"

    @property
    def data_key(self) -> str:
        """What is equal for trials that see the same batches.

        Data with an attribute `seed` depends on it alone; what else there is may draw from torch's generator.
        """
        own = getattr(self.datamodule, "seed", None)
        return json.dumps([self._plain["data"], id(self) if own is None else own])

    @property
    def callbacks(self) -> list[L.Callback]:
        """Callbacks whose state is in the trial's checkpoints."""
        return [*self.early_stopping, *self.diagnostics, *self.recording.callbacks]

    def trainer_arguments(self) -> dict[str, Any]:
        """Return the arguments of the trainer that the trial asks for."""
        return dict(self._get(self.config_init, "trainer"))

    def _plain_config(self) -> dict[str, Any]:
        return self._plain

    @cached_property
    def _plain(self) -> dict[str, Any]:
        return super()._plain_config()

    def _resume(self, checkpoint: dict[str, Any]) -> None:
        self.model.load_state_dict(checkpoint["state_dict"])
        group = checkpoint["optimizer_states"][0]["param_groups"][0]
        self.optimizer.param_groups[0].update(
            {name: value for name, value in group.items() if name != "params"}
        )
        if self.scheduler is not None:
            self.scheduler.load_state_dict(checkpoint["lr_schedulers"][0])
        for callback in self.callbacks:
            if (state := checkpoint["callbacks"].get(callback.state_key)) is not None:
                callback.load_state_dict(state)


def _listed(configured: Any) -> tuple[list[Any], list[Any]]:
    """Return what `configure_optimizers` gave as a list of optimisers and one of schedulers."""
    if isinstance(configured, dict):
        schedule = configured.get("lr_scheduler")
        return [configured["optimizer"]], [] if schedule is None else [schedule]
    if isinstance(configured, tuple | list):
        if len(configured) == 2 and isinstance(configured[0], tuple | list):
            return list(configured[0]), list(configured[1])
        return list(configured), []
    return [configured], []
