"""predictions.jsonl: what `lit-seq predict` leaves behind."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter

from lit_seq.run_folder import replacing


class PredictionsFile(BasePredictionWriter):
    """Writes one JSON object a line for each sequence.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(write_interval="epoch")
        self.path = path

    def write_on_epoch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        """Write all batches' predictions."""
        with replacing(self.path) as file:
            for batch in predictions:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch)
