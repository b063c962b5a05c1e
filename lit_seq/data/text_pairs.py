"""Texts with a text of its own length to give for each."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.held_out import with_held_out
from lit_seq.data.loader import Loader
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.ragged import Ragged
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Unit, Vocabulary

Pair = tuple[str, str]


class TextPairs(SequenceData):
    """Pairs of a source and a target text: translations, pronunciations, summaries.

    Training pairs with a side that is too long are left out. Of held-out ones a source that is too long is
    cut and the target stays whole, so that figures are those of all of them. Symbols that training did not
    see are unknown.

    Batch: inputs (batch, longest) int64, padded with 0; targets (batch, longest) int64 with the end token
    behind each, padded with `IGNORED`; lengths (batch,) int64, of the sources.

    Args:
        source_unit: what a symbol of a source is.
        target_unit: what a symbol of a target is.
        batch_size: pairs of a batch.
        max_source_length: most symbols of a source.
        max_target_length: most symbols of a training target, the end token included.
        source_vocabulary_size: most symbols to tell apart in sources, the unknown one included.
        target_vocabulary_size: the same in targets, the end token included.
        empty: whether to refuse rows with an empty source or target, or to leave them out.
        bucketing: whether a training batch has pairs of similar lengths (`lit_seq.data.bucketing`).
        validation_fraction: part of the training pairs to validate on, where there is no such split.
        test_fraction: part of the training pairs to test on, where there is no such split.
        validation_seed: decides which pairs those are; leave it alone to compare runs.
        seed: decides the order of the training pairs; by default the run's seed.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    def __init__(
        self,
        source_unit: Unit = "word",
        target_unit: Unit = "word",
        batch_size: int = 64,
        max_source_length: int | None = None,
        max_target_length: int | None = None,
        source_vocabulary_size: int | None = None,
        target_vocabulary_size: int | None = None,
        empty: Literal["refuse", "leave_out"] = "refuse",
        bucketing: bool = True,
        validation_fraction: float = 0.05,
        test_fraction: float = 0.05,
        validation_seed: int = 0,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, num_workers)
        if max_source_length is not None:
            self._at_least(1, max_source_length=max_source_length)
        if max_target_length is not None:
            self._at_least(2, max_target_length=max_target_length)
        if source_vocabulary_size is not None:
            self._at_least(2, source_vocabulary_size=source_vocabulary_size)
        if target_vocabulary_size is not None:
            self._at_least(3, target_vocabulary_size=target_vocabulary_size)
        self.units = source_unit, target_unit
        self.limits = max_source_length, max_target_length
        self.sizes = source_vocabulary_size, target_vocabulary_size
        self.empty = empty
        self.bucketing = bucketing
        self.fractions = self._fractions(validation_fraction, test_fraction)
        self.validation_seed = validation_seed

    @abstractmethod
    def read(self) -> dict[Split, list[Pair]]:
        """Return source and target of each row of each split that the data has, "train" at least."""

    @property
    def task(self) -> Task:
        """Which text, of its own length, belongs to a text."""
        source, target = self.vocabularies
        longest = max(max(pairs.targets.lengths) for pairs in self._encoded[1].values())
        return Task(
            *("tokens", len(source), "classes", len(target), "own"),
            vocabulary=source.to_dict(),
            target_vocabulary=target.to_dict(),
            target_length=longest,
        )

    @property
    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        """The symbols of the training sources and of the training targets, which have an end token."""
        return self._encoded[0]

    def loader(self, split: Split) -> Loader | None:
        """Return the pairs of `split` in batches; None where it has none."""
        return self._in_batches(split, self._encoded[1].get(split), self.bucketing)

    @cached_property
    def _encoded(self) -> tuple[tuple[Vocabulary, Vocabulary], dict[Split, "_Pairs"]]:
        read = {split: self._without_empty(pairs, split) for split, pairs in self.read().items()}
        rows = with_held_out(read, self.fractions, self.validation_seed)
        (source_unit, target_unit), (source_size, target_size) = self.units, self.sizes
        source = Vocabulary.of((pair[0] for pair in rows["train"]), source_unit, source_size)
        target = Vocabulary.of((pair[1] for pair in rows["train"]), target_unit, target_size, end=True)
        encoded: dict[Split, _Pairs] = {}
        for split, pairs in rows.items():
            encoded[split] = of_split = _Pairs()
            for one, other in pairs:
                numbers = source.encode(one), target.encode(other)
                if split != "train" or self._fits(*numbers):
                    of_split.append(numbers[0][: self.limits[0]], numbers[1])
            if not len(of_split):
                raise self._wrong(f"there is no pair in {split}{' within the limits' if pairs else ''}.")
        return (source, target), encoded

    def _without_empty(self, pairs: list[Pair], split: Split) -> list[Pair]:
        for row, pair in enumerate(pairs):
            for text, side in zip(pair, ("source", "target"), strict=True):
                if self.empty == "refuse" and not text.strip():
                    raise self._wrong(
                        f"row {row} of {split} (counted from 0) has an empty {side}; mend it, or set empty to"
                        " leave_out."
                    )
        return [pair for pair in pairs if all(text.strip() for text in pair)]

    def _fits(self, *pair: Tensor) -> bool:
        return all(limit is None or len(one) <= limit for one, limit in zip(pair, self.limits, strict=True))


class _Pairs(Dataset[Batch]):
    """Padded batches of the pairs that a key lists."""

    def __init__(self) -> None:
        self.sources, self.targets = Ragged(), Ragged()

    def append(self, source: Tensor, target: Tensor) -> None:
        self.sources.append(source)
        self.targets.append(target)

    @property
    def steps(self) -> list[int]:
        """Steps of each pair, of both sides together."""
        return list(map(sum, zip(self.sources.lengths, self.targets.lengths, strict=True)))

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        sources = [self.sources[row] for row in rows]
        targets = [self.targets[row] for row in rows]
        return Batch(
            pad_sequence(sources, batch_first=True),
            pad_sequence(targets, batch_first=True, padding_value=IGNORED),
            torch.tensor([len(source) for source in sources]),
        )
