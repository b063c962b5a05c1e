"""Data with pictures in it, from files or the Hugging Face hub."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.held_out import with_held_out
from lit_seq.data.loader import Loader
from lit_seq.data.module import Split
from lit_seq.data.picture_column import Decoder, Film, PictureColumn
from lit_seq.data.source_data import SourceData
from lit_seq.data.task import Task

KEPT = 2**26
"""Bytes of decoded pictures that a split keeps, the first ones of it."""


class Targets(NamedTuple):
    """What belongs to what is shown.

    Attributes:
        task: fields of the `Task` that the targets decide.
        examples: what is shown, and its target, (…) int64, for each split.
    """

    task: dict[str, Any]
    examples: dict[Split, list[tuple[Film, Tensor]]]


class PictureData(SourceData):
    """Pictures or films with targets, in anything that `datasets.load_dataset` loads.

    A picture is an image of `datasets`, or the bytes or name of an image file. Its brightness becomes 0 … 1.
    The first 64 MiB of decoded pictures of each split are decoded at the start and kept; what is beyond is
    decoded each time that a batch needs it. Training batches have films of similar lengths
    (`lit_seq.data.bucketing`).

    Args:
        path: a file format ("imagefolder", "parquet", "csv", …), a folder, or a name on the hub.
        image_column: column that holds the pictures.
        image_size: height and width to which they are scaled, or one number for both; null leaves them as
            they are, and all must be of one size.
        channels: 3 for red, green and blue, 1 for grey.
        batch_size: examples of a batch.
        validation_fraction: part of the training examples to validate on, where there is no such split.
        test_fraction: part of the training examples to test on, where there is no such split.
        validation_seed: decides which examples those are; leave it alone to compare runs.
        seed: decides the order of the training examples; by default the run's seed.
        source: the arguments of `SourceData`.
    """

    inputs: ClassVar[Literal["image", "frames"]] = "image"
    """What an example shows: one picture, or several in turn."""

    def __init__(
        self,
        path: str,
        image_column: str = "image",
        image_size: int | tuple[int, int] | None = None,
        channels: Literal[1, 3] = 3,
        batch_size: int = 32,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        validation_seed: int = 0,
        seed: int | None = None,
        **source: Any,
    ) -> None:
        super().__init__(path, batch_size=batch_size, seed=seed, **source)
        if channels not in (1, 3):
            raise self._wrong(f"channels is {channels}; it must be 3 for colour or 1 for grey.")
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        for side in size or ():
            self._at_least(1, image_size=side)
        self.image_column = image_column
        self.decoder = Decoder(channels, size)
        self.fractions = self._fractions(validation_fraction, test_fraction)
        self.validation_seed = validation_seed

    @abstractmethod
    def read(self, rows: Any, pictures: PictureColumn) -> list[tuple[Film, Any]]:
        """Return what a loaded split shows, with what belongs to it."""

    @abstractmethod
    def targets(self, examples: dict[Split, list[tuple[Film, Any]]], features: Any) -> Targets:
        """Return as numbers what `read` gave of all splits.

        Args:
            examples: what is shown, and what belongs to it.
            features: what `datasets` knows of each column.
        """

    @property
    def task(self) -> Task:
        """Pictures or films in, what belongs to them out."""
        task, _ = self._prepared
        # Known since the first picture was decoded.
        assert self.decoder.size is not None
        return Task(self.inputs, self.decoder.channels, "classes", image_size=self.decoder.size, **task)

    def loader(self, split: Split) -> Loader | None:
        """Return the examples of `split` in batches; None where it has none."""
        return self._in_batches(split, self._prepared[1].get(split), bucketing=True)

    @cached_property
    def _prepared(self) -> tuple[dict[str, Any], dict[Split, "_Examples"]]:
        loaded = self.source.load()
        read = {
            split: self.read(rows, PictureColumn(self.source, rows, self.image_column))
            for split, rows in loaded.items()
        }
        rows = with_held_out(read, self.fractions, self.validation_seed)
        if not rows["train"]:
            raise self._wrong(f"{self.source} has no row to train on.")
        targets = self.targets(rows, loaded["train"].features)
        # Where all must have the size of the first picture, that is the first one in the data.
        first, _ = read["train"][0]
        first._replace(rows=first.rows[:1], frames=slice(1)).decoded(self.decoder)
        splits: tuple[Split, ...] = ("train", "validation", "test")
        return targets.task, {
            split: _Examples(targets.examples[split], self.decoder, self.inputs)
            for split in splits
            if split in targets.examples
        }


class _Examples(Dataset[Batch]):
    """Batches of the examples that a key lists."""

    def __init__(
        self, examples: Sequence[tuple[Film, Tensor]], decoder: Decoder, inputs: Literal["image", "frames"]
    ) -> None:
        self.examples, self.decoder, self.inputs = examples, decoder, inputs
        self._kept: list[Tensor] = []
        room = KEPT
        for film, _ in examples:
            if room <= 0:
                break
            self._kept.append(film.decoded(decoder))
            room -= self._kept[-1].numel()

    @property
    def steps(self) -> list[int]:
        """Pictures of each example."""
        return [film.steps for film, _ in self.examples]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        films = [
            self._kept[row] if row < len(self._kept) else self.examples[row][0].decoded(self.decoder)
            for row in rows
        ]
        lengths = torch.tensor([len(film) for film in films]) if self.inputs == "frames" else None
        shown = pad_sequence(films, batch_first=True) if self.inputs == "frames" else torch.cat(films)
        targets = [self.examples[row][1] for row in rows]
        padded = (
            pad_sequence(targets, batch_first=True, padding_value=IGNORED)
            if targets[0].dim()
            else torch.stack(targets)
        )
        return Batch(shown.float() / 255, padded, lengths)
