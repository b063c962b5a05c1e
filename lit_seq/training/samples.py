"""What a model says at three moments of its training, for people to look at."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.data import Batch
from lit_seq.data.module import held_out
from lit_seq.diagnostics import Diagnostic
from lit_seq.run_folder import replacing
from lit_seq.samples import to_line
from lit_seq.topologies import Topology
from lit_seq.training.metrics_file import MetricsFile
from lit_seq.training.wandb_run import WandbRun


class Samples(L.Callback):
    """Writes samples.jsonl, and a W&B table, after the first step, half-way and at the end.

    What diagnostics found last is shown behind them.

    The same held-out examples and random numbers are used at each moment, so that what differs is the model.
    Training's own random numbers are not touched.

    Args:
        folder: the run folder.
        metrics: the run's metrics.
        wandb_run: the run that mirrors the folder.
    """

    def __init__(self, folder: Path, metrics: MetricsFile, wandb_run: WandbRun | None) -> None:
        self._path, self._metrics, self._wandb_run = folder / "samples.jsonl", metrics, wandb_run
        self._lines: list[dict[str, Any]] = []
        self._moments: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the samples so far."""
        return {"lines": self._lines, "moments": self._moments}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the samples of the run that is resumed."""
        self._lines, self._moments = state_dict["lines"], state_dict["moments"]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Write at the three moments."""
        if self.is_due(trainer) and isinstance(pl_module, Topology):
            self.write(trainer, pl_module, held_out(trainer))

    def is_due(self, trainer: L.Trainer) -> bool:
        """Return whether this is one of the three moments, and its samples are not written yet."""
        return moment(trainer) not in (None, *self._moments)

    @rank_zero_only
    def write(self, trainer: L.Trainer, model: Topology, held_out: Iterable[Batch]) -> None:
        """Write what the model says of held-out data."""
        now, step = moment(trainer), trainer.global_step
        assert now is not None
        was_training = model.training
        model.eval()
        convert = trainer.precision_plugin.convert_input
        batches = (convert(model.transfer_batch_to_device(batch, model.device, 0)) for batch in held_out)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            samples = [*model.samples(batches), *model.remarks(self._metrics.validations)]
        samples += [s for one in trainer.callbacks if isinstance(one, Diagnostic) for s in one.samples]  # type: ignore[attr-defined]
        model.train(was_training)
        self._moments.append(now)
        self._lines += [{"step": step, "moment": now, **to_line(sample)} for sample in samples]
        if not self._lines:
            return
        with replacing(self._path) as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in self._lines)
        if self._wandb_run is not None:
            self._wandb_run.log_samples(self._lines, step - 1)


def moment(trainer: L.Trainer) -> str | None:
    """Return which of the three moments it is: "start", "middle" or "end"; None between them."""
    steps = trainer.estimated_stepping_batches
    moments = {1: "start"} if steps == float("inf") else {1: "start", steps // 2: "middle", steps: "end"}
    return moments.get(trainer.global_step)
