"""Pictures with a class each."""

from typing import Any

import torch

from lit_seq.data.classes import numbered_classes
from lit_seq.data.module import Split
from lit_seq.data.picture_column import Film, PictureColumn
from lit_seq.data.picture_data import PictureData, Targets


class ImageClassification(PictureData):
    """Images with a class each, from files or the Hugging Face hub: for the feed-forward baseline.

    Labels may be class labels of `datasets` (the folders of an imagefolder are), integers or strings. An
    image without a label (none, or -1 for a class label) has the target `IGNORED`.

    Batch: inputs (batch, channels, height, width) float32; targets (batch,) int64.

    Args:
        label_column: column that holds the labels.
        pictures: the arguments of `PictureData`.
    """

    def __init__(self, label_column: str = "label", **pictures: Any) -> None:
        super().__init__(**pictures)
        self.label_column = label_column

    def read(self, rows: Any, pictures: PictureColumn) -> list[tuple[Film, Any]]:
        """Return each picture with its label."""
        labels = self.source.column(rows, self.label_column)
        return [(Film(pictures, [row]), label) for row, label in enumerate(labels)]

    def targets(self, examples: dict[Split, list[tuple[Film, Any]]], features: Any) -> Targets:
        """Return each label as a number."""
        names, numbers = numbered_classes(
            self.source,
            self.label_column,
            features.get(self.label_column),
            {split: {label for _, label in rows} for split, rows in examples.items()},
        )
        return Targets(
            {"target_size": len(names), "alignment": "sequence", "labels": names},
            {
                split: [(film, torch.tensor(numbers[label])) for film, label in rows]
                for split, rows in examples.items()
            },
        )
