"""A pack's checkpoints: an ordinary one for each trial, and back into a pack."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lit_seq.checkpoint_file import BEST, LAST
from lit_seq.packing.leaving import End, let_go
from lit_seq.packing.pack import Pack
from lit_seq.packing.trial import PackedTrial
from lit_seq.training.checkpoints import Checkpoints


class PackCheckpoints(Checkpoints):
    """Writes last.ckpt and best.ckpt of every trial of a pack, when a single run would.

    Args:
        pack: the pack.

    Attributes:
        leaving: trials that leave the pack when their checkpoints are written, and how they end.
    """

    def __init__(self, pack: Pack) -> None:
        first = pack.trials[0].recording
        super().__init__(first.folder, first.checkpoints.policy, first.metrics)
        self._pack = pack
        self.leaving: dict[PackedTrial, End] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the state is in the trials' own callbacks."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing; see `state_dict`."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let go of trials that stop at the epoch's end.

        Raises:
            AllDropped: none is left.
        """
        if self.leaving and trainer.global_step == self._saved_step:
            self._let_go(trainer)
        elif self.leaving:
            self._save(trainer)

    def flush_row(self, trainer: L.Trainer) -> None:
        """Do nothing: the pack has written the row."""

    def _keep_best(self, trainer: L.Trainer) -> None:
        better = []
        for row, trial in enumerate(self._pack.trials):
            value = trial.recording.metrics.latest.get(self.policy.monitor)
            if value is not None and trial.recording.checkpoints.improves(value):
                better.append(row)
        if better:
            self._keep_rows(trainer, BEST, better)

    def _save(self, trainer: L.Trainer) -> None:
        self._keep_rows(trainer, LAST, range(len(self._pack.trials)))
        self._let_go(trainer)
        self._saved(trainer)

    def _due(self, trainer: L.Trainer) -> bool:
        return bool(self.leaving) or super()._due(trainer)

    def _let_go(self, trainer: L.Trainer) -> None:
        ends = {trial: end for trial, end in self.leaving.items() if trial in self._pack.trials}
        self.leaving = {}
        if ends:
            let_go(self._pack, trainer, ends)

    def _keep_rows(self, trainer: L.Trainer, name: str, rows: Sequence[int]) -> None:
        whole = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        contents = [split(self._pack, whole, row) for row in rows]
        # The disk takes hardly longer for all of them than for one.
        with ThreadPoolExecutor(len(rows)) as pool:
            deque(pool.map(partial(self._keep_row, name), rows, contents), maxlen=0)

    def _keep_row(self, name: str, row: int, content: dict[str, Any]) -> None:
        recording = self._pack.trials[row].recording
        recording.metrics.flush(durably=True)
        recording.checkpoints.keep(content, name)


def split(pack: Pack, whole: dict[str, Any], row: int) -> dict[str, Any]:
    """Return the ordinary Lightning checkpoint of one trial.

    Args:
        pack: the pack.
        whole: Lightning's checkpoint of it.
        row: the trial's place in the stack.
    """
    trial = pack.trials[row]
    group = {name: value for name, value in trial.optimizer.param_groups[0].items() if name != "params"}
    state = whole["optimizer_states"][0]["state"]
    with trial.stream.drawn_from():
        callbacks = {callback.state_key: callback.state_dict() for callback in trial.callbacks}
    content = {
        **whole,
        "state_dict": {name: value.cpu().clone() for name, value in pack.stacked.unstack(row).items()},
        "optimizer_states": [
            {
                "state": {
                    index: {name: value[row].clone() for name, value in one.items()}
                    for index, one in state.items()
                },
                "param_groups": [{**group, "params": list(range(len(pack.stacked.stacked)))}],
            }
        ],
        "lr_schedulers": [trial.scheduler.state_dict()] if trial.scheduler else [],
        "callbacks": callbacks,
        "hparams_name": "kwargs",
        "stacked": True,
        "hyper_parameters": dict(trial.model.hparams),
    }
    if pack.carried:
        content["carried_state"] = [leaf[row].clone() for leaf in pack.carried]
    return content


def combine(
    checkpoints: Sequence[dict[str, Any]], names: Sequence[str], buffers: Sequence[str]
) -> dict[str, Any]:
    """Return the checkpoint from which Lightning resumes a pack: the inverse of `split`.

    Args:
        checkpoints: of all trials, at the same step.
        names: parameters, in the order of the stack.
        buffers: buffers, in the order of the stack.
    """
    states = [checkpoint["state_dict"] for checkpoint in checkpoints]
    optimizers = [checkpoint["optimizer_states"][0]["state"] for checkpoint in checkpoints]

    def stack(values: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(values))

    whole = {
        **checkpoints[0],
        "state_dict": {
            **{
                f"stacked.stacked.{i}": stack([state[name] for state in states])
                for i, name in enumerate(names)
            },
            **{
                f"stacked.buffer_{i}": stack([state[name] for state in states])
                for i, name in enumerate(buffers)
                if name in states[0]
            },
        },
        "optimizer_states": [
            {
                "state": {
                    index: {name: stack([one[index][name] for one in optimizers]) for name in first}
                    for index, first in optimizers[0].items()
                },
                "param_groups": [{"params": list(range(len(names)))}],
            }
        ],
        "lr_schedulers": [{} for _ in checkpoints[0]["lr_schedulers"]],
        "callbacks": {},
    }
    if "carried_state" in checkpoints[0]:
        leaves = zip(*(checkpoint["carried_state"] for checkpoint in checkpoints), strict=True)
        whole["carried_state"] = [stack(leaf) for leaf in leaves]
    return whole
