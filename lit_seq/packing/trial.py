"""One trial of a pack: built alone, as it would be without the pack."""

import json
from typing import Any, cast

import lightning as L
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lit_seq.packing.clipping import Threshold
from lit_seq.topologies import Topology
from lit_seq.training.run import Run


class PackedTrial(Run):
    """Data, model, optimiser and recording of one `lit-seq fit`, built from its own seed but not trained.

    Args:
        arguments: the command line behind `lit-seq`.

    Raises:
        UserError: the command line is wrong.
    """

    model: Topology

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Make the recording; the trainer is the pack's."""
        self.recording = self._record()
        configured: Any = self.model.configure_optimizers()
        optimizers, schedulers = configured if isinstance(configured, tuple) else ([configured], [])
        self.optimizer: Optimizer = optimizers[0]
        self.scheduler: LRScheduler | None = schedulers[0] if schedulers else None
        if self.checkpoint is not None:
            self._resume(self.checkpoint)
        return cast(L.Trainer, None)

    def _run_subcommand(self, subcommand: str) -> None:
        pass

    @property
    def options(self) -> Any:
        """The subcommand's configuration."""
        return self.config[self.subcommand]

    @property
    def clip(self) -> Threshold:
        """The trial's clipping threshold and kind."""
        trainer = self.options.trainer
        return trainer.gradient_clip_val, trainer.gradient_clip_algorithm or "norm"

    @property
    def data_key(self) -> str:
        """What is equal for trials that see the same batches."""
        return json.dumps([self._plain_config()["data"], getattr(self.datamodule, "seed", None)])

    def trainer_arguments(self) -> dict[str, Any]:
        """Return the arguments of the trainer that the trial asks for."""
        return dict(self._get(self.config_init, "trainer"))

    def _resume(self, checkpoint: dict[str, Any]) -> None:
        self.model.load_state_dict(checkpoint["state_dict"])
        group = checkpoint["optimizer_states"][0]["param_groups"][0]
        self.optimizer.param_groups[0].update(
            {name: value for name, value in group.items() if name != "params"}
        )
        if self.scheduler is not None:
            self.scheduler.load_state_dict(checkpoint["lr_schedulers"][0])
        for callback in self.recording.callbacks:
            callback.load_state_dict(checkpoint["callbacks"][callback.state_key])
