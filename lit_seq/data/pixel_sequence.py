"""Images read pixel by pixel."""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.image_classification import ImageClassification
from lit_seq.data.loader import Loader, generator
from lit_seq.data.module import Split
from lit_seq.data.task import Task


class PixelSequence(ImageClassification):
    """Images with a class each, read pixel by pixel: sequential and permuted MNIST, for long-term memory.

    Pixels come row by row, or all images in one order that is drawn once: what is near in the image is then
    far in time.

    Batch: inputs (batch, height · width, channels) float32, brightness 0 … 1; targets (batch,) int64.

    Source: Le, Jaitly & Hinton 2015, section 4.2, with the 784 pixels of MNIST.

    Args:
        permutation_seed: decides the order of the pixels; null: row by row.
        channels: 1 for grey, 3 for red, green and blue.
        images: further arguments of `ImageClassification`.
    """

    def __init__(
        self, permutation_seed: int | None = None, channels: Literal[1, 3] = 1, **images: Any
    ) -> None:
        super().__init__(channels=channels, **images)
        self.permutation_seed = permutation_seed

    @property
    def task(self) -> Task:
        """Pixels in, the image's class out."""
        return replace(super().task, inputs="vectors", image_size=None)

    def loader(self, split: Split) -> Loader | None:
        """Return the images of `split` in batches; None where it has none."""
        images = super().loader(split)
        return images and Loader(_Pixels(images.batches, self._order), images.order, images.num_workers)

    @property
    def _order(self) -> Tensor:
        height, width = super().task.image_size or (0, 0)
        if self.permutation_seed is None:
            return torch.arange(height * width)
        return torch.randperm(height * width, generator=generator(self.permutation_seed))


class _Pixels(Dataset[Batch]):
    """Batches of images as sequences."""

    def __init__(self, images: Dataset[Batch], order: Tensor) -> None:
        self.images, self.order = images, order

    def __getitem__(self, key: Any) -> Batch:
        batch = self.images[key]
        pixels = batch.inputs.flatten(2).transpose(1, 2)
        return batch._replace(inputs=pixels[:, self.order])
