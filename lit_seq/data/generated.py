"""Data that a formula makes: nothing to load, and never the same batch twice in training."""

from abc import abstractmethod
from functools import cached_property

import torch
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.loader import Loader, generator, in_turn, onward
from lit_seq.data.module import SequenceData, Split


class GeneratedData(SequenceData):
    """Sequences drawn at random from a distribution.

    Training batch b (counted over all epochs) is a function of (`seed`, b). The held-out sequences are a
    function of (`validation_seed`, split), whatever the seed and batch size of training.

    Args:
        batch_size: sequences of a batch.
        train_batches: batches of an epoch; every epoch draws new ones.
        validation_size: sequences to validate on.
        test_size: sequences to test on.
        validation_seed: decides the validation and test sequences; leave it alone to compare runs.
        seed: decides the training sequences; by default the run's seed.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    def __init__(
        self,
        batch_size: int = 64,
        train_batches: int = 1000,
        validation_size: int = 1000,
        test_size: int = 1000,
        validation_seed: int = 0,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, num_workers)
        self.train_batches = self._at_least(1, train_batches=train_batches)
        self.validation_size = self._at_least(0, validation_size=validation_size)
        self.test_size = self._at_least(0, test_size=test_size)
        self.validation_seed = validation_seed

    @abstractmethod
    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences from `generator` and from nothing else."""

    def loader(self, split: Split) -> Loader | None:
        """Return the batches of `split`; None where it has no sequences."""
        if split == "train":
            return Loader(_Fresh(self), onward(self.train_batches), self.num_workers)
        size, stream = {"validation": (self.validation_size, 1), "test": (self.test_size, 2)}[split]
        if size == 0:
            return None
        held_out = _HeldOut(self, size, stream)
        return Loader(held_out, in_turn(-(-size // self.batch_size)), self.num_workers)


class _Fresh(Dataset[Batch]):
    """Training batch b."""

    def __init__(self, data: GeneratedData) -> None:
        self.data = data

    def __getitem__(self, index: int) -> Batch:
        return self.data.generate(self.data.batch_size, generator(self.data.seed, 0, index))


class _HeldOut(Dataset[Batch]):
    """Slices of sequences that are drawn all at once, so that the batch size does not change them."""

    def __init__(self, data: GeneratedData, size: int, stream: int) -> None:
        self.data, self.size, self.stream = data, size, stream

    @cached_property
    def sequences(self) -> Batch:
        return self.data.generate(self.size, generator(self.data.validation_seed, self.stream, 0))

    def __getitem__(self, index: int) -> Batch:
        rows = slice(index * self.data.batch_size, (index + 1) * self.data.batch_size)
        return self.sequences.of(rows)
