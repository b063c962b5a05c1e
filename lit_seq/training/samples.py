"""Texts that a language model writes at three moments of its training."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only

from lit_seq.run_folder import replacing
from lit_seq.topologies import LanguageModel
from lit_seq.training.wandb_run import WandbRun


class TextSamples(L.Callback):
    """Writes samples.jsonl, and a W&B table, after the first step, half-way and at the end.

    The same random numbers are used at each moment, so that what differs is the model. Training's own
    random numbers are not touched.

    Args:
        folder: the run folder.
        wandb_run: the run that mirrors the folder.
        length: tokens to write.
        temperature: see `LanguageModel.sample`.
    """

    def __init__(
        self, folder: Path, wandb_run: WandbRun | None, length: int = 300, temperature: float = 0.8
    ) -> None:
        self._path, self._wandb_run = folder / "samples.jsonl", wandb_run
        self._length, self._temperature = length, temperature
        self._samples: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the texts so far."""
        return {"samples": self._samples}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the texts of the run that is resumed."""
        self._samples = state_dict["samples"]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
        """Write at the three moments."""
        moment = self.moment(trainer)
        if moment and isinstance(pl_module, LanguageModel):
            self._write(pl_module, moment, trainer.global_step)

    def moment(self, trainer: L.Trainer) -> str | None:
        """Return which of the three moments this is, if its text is not written yet."""
        steps = trainer.estimated_stepping_batches
        moments = {1: "start"} if steps == float("inf") else {1: "start", steps // 2: "middle", steps: "end"}
        moment = moments.get(trainer.global_step)
        return None if moment in [sample["moment"] for sample in self._samples] else moment

    @rank_zero_only
    def _write(self, model: LanguageModel, moment: str, step: int) -> None:
        symbols = model.vocabulary.symbols
        prime = "\n" if not symbols or "\n" in symbols else symbols[1]
        generator = torch.Generator().manual_seed(0)
        text = model.sample(prime, self._length, self._temperature, generator)
        sample = {
            "step": step,
            "moment": moment,
            "prime": prime,
            "temperature": self._temperature,
            "text": text,
        }
        self._samples.append(sample)
        with replacing(self._path) as file:
            file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in self._samples)
        if self._wandb_run is not None:
            self._wandb_run.log_samples(self._samples, step - 1)
