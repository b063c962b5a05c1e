"""Small images of digits, as sequences or as they are."""

from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.loader import Loader, generator
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.task import Task

_SHAPES = {"rows": (8, 8), "pixels": (64, 1), "none": (1, 8, 8)}
"""Shape of an image, by what a step is."""


class Digits(SequenceData):
    """Handwritten digits of 8×8 pixels, row by row, pixel by pixel or whole; rows are what a 2-D core takes.

    1,797 images of ten classes, brightness scaled to 0 … 1, as scikit-learn ships them. The most frequent
    class makes up 10 % of them.

    Batch: inputs (batch, 8 rows, 8 columns) float32, or (batch, 64, 1) by pixels, or (batch, 1, 8, 8) without
    time; targets (batch,) int64.

    Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits, UCI repository (its test part).

    Args:
        steps: what a step is; "none" leaves the image whole, for topologies without time.
        batch_size: images of a batch.
        validation_fraction: part of the images to validate on.
        test_fraction: part of the images to test on.
        validation_seed: decides which images those are; leave it alone to compare runs.
        seed: decides the order of the training images; by default the run's seed.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    def __init__(
        self,
        steps: Literal["rows", "pixels", "none"] = "rows",
        batch_size: int = 64,
        validation_fraction: float = 0.2,
        test_fraction: float = 0.2,
        validation_seed: int = 0,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, num_workers)
        if steps not in _SHAPES:
            raise self._wrong(f"steps is {steps!r}; it must be 'rows', 'pixels' or 'none'.")
        self.steps = steps
        self.fractions = self._fractions(validation_fraction, test_fraction)
        self.validation_seed = validation_seed

    @property
    def task(self) -> Task:
        """Rows, pixels or an image in, one of ten digits out."""
        digits = tuple(str(i) for i in range(10))
        if self.steps == "none":
            return Task("image", 1, "classes", 10, "sequence", labels=digits, image_size=(8, 8))
        return Task("vectors", _SHAPES[self.steps][-1], "classes", 10, "sequence", labels=digits)

    def loader(self, split: Split) -> Loader | None:
        """Return the images of `split` in batches; None where it has none."""
        return self._in_batches(split, self._images[split])

    @cached_property
    def _images(self) -> dict[Split, "_Images"]:
        from sklearn.datasets import load_digits

        pixels, digits = load_digits(return_X_y=True)
        inputs = torch.tensor(pixels / 16, dtype=torch.float32).unflatten(1, _SHAPES[self.steps])
        targets = torch.tensor(digits, dtype=torch.int64)
        order = torch.randperm(len(targets), generator=generator(self.validation_seed, 1))
        held_out = {split: round(len(targets) * fraction) for split, fraction in self.fractions.items()}
        sizes: dict[Split, int] = {**held_out, "train": len(targets) - sum(held_out.values())}
        parts = order.split(list(sizes.values()))
        return {split: _Images(inputs[part], targets[part]) for split, part in zip(sizes, parts, strict=True)}


class _Images(Dataset[Batch]):
    """Batches of the images that a key lists."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, rows: list[int]) -> Batch:
        return Batch(self.inputs[rows], self.targets[rows])
