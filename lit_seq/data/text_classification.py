"""Texts with a class each."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.classes import numbered_classes
from lit_seq.data.held_out import with_held_out
from lit_seq.data.loader import Loader
from lit_seq.data.module import Split
from lit_seq.data.source_data import SourceData
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Unit, Vocabulary

Row = tuple[str, Any]


class TextClassification(SourceData):
    """Labelled texts from files or the Hugging Face hub, for sequence classification.

    Reads two columns of anything that `datasets.load_dataset` loads. Labels may be class labels of
    `datasets`, integers or strings. A text without a label (none, or -1 for a class label) has the target
    `IGNORED`. An empty text counts as one unknown symbol.

    Batch: inputs (batch, longest) int64, padded with 0; targets (batch,) int64; lengths (batch,) int64.

    Args:
        path: a file format ("text", "csv", "json", "parquet", …), a folder, or a name on the hub.
        text_column: column that holds the texts.
        label_column: column that holds their labels.
        unit: what a symbol is: character, byte, word or subword.
        batch_size: texts of a batch.
        max_length: most symbols of a text; the rest is cut off.
        vocabulary_size: most symbols to tell apart, the unknown one included; the rarer ones are unknown.
        bucketing: whether a training batch has texts of similar lengths (`lit_seq.data.bucketing`).
        validation_fraction: part of the training texts to validate on, where there is no such split.
        test_fraction: part of the training texts to test on, where there is no such split.
        validation_seed: decides which texts those are; leave it alone to compare runs.
        seed: decides the order of the training texts; by default the run's seed.
        source: the arguments of `SourceData`.
    """

    def __init__(
        self,
        path: str,
        text_column: str = "text",
        label_column: str = "label",
        unit: Unit = "word",
        batch_size: int = 32,
        max_length: int | None = None,
        vocabulary_size: int | None = None,
        bucketing: bool = True,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        validation_seed: int = 0,
        seed: int | None = None,
        **source: Any,
    ) -> None:
        super().__init__(path, batch_size=batch_size, seed=seed, **source)
        self.text_column, self.label_column = text_column, label_column
        self.unit = unit
        self.max_length = None if max_length is None else self._at_least(1, max_length=max_length)
        if vocabulary_size is not None:
            self._at_least(2, vocabulary_size=vocabulary_size)
        self.vocabulary_size = vocabulary_size
        self.bucketing = bucketing
        self.fractions = self._fractions(validation_fraction, test_fraction)
        self.validation_seed = validation_seed

    @property
    def task(self) -> Task:
        """Which class a text has."""
        vocabulary, labels, _ = self._examples
        return Task(
            "tokens", len(vocabulary), "classes", len(labels), "sequence", vocabulary.to_dict(), labels
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols of the training texts."""
        return self._examples[0]

    def loader(self, split: Split) -> Loader | None:
        """Return the texts of `split` in batches; None where it has none."""
        return self._in_batches(split, self._examples[2].get(split), self.bucketing)

    @cached_property
    def _examples(self) -> tuple[Vocabulary, tuple[str, ...], dict[Split, "_Texts"]]:
        loaded = self.source.load()
        read = {split: self._rows(data) for split, data in loaded.items()}
        rows = with_held_out(read, self.fractions, self.validation_seed)
        if not rows["train"]:
            raise self._wrong(f"{self.source} has no row to train on.")
        vocabulary = Vocabulary.of((text for text, _ in rows["train"]), self.unit, self.vocabulary_size)
        labels = {split: [label for _, label in of_split] for split, of_split in rows.items()}
        feature = (loaded["train"].features or {}).get(self.label_column)
        names, numbers = numbered_classes(self.source, self.label_column, feature, labels)
        return (
            vocabulary,
            names,
            {
                split: _Texts(
                    [vocabulary.encode(text)[: self.max_length] for text, _ in of_split],
                    torch.tensor([numbers[label] for label in labels[split]]),
                )
                for split, of_split in rows.items()
            },
        )

    def _rows(self, data: Any) -> list[Row]:
        texts = self.source.texts(data, self.text_column)
        return list(zip(texts, self.source.column(data, self.label_column), strict=True))


class _Texts(Dataset[Batch]):
    """Padded batches of the texts that a key lists."""

    def __init__(self, texts: list[Tensor], classes: Tensor) -> None:
        self.texts = [text if len(text) else torch.zeros(1, dtype=torch.int64) for text in texts]
        self.steps = [len(text) for text in self.texts]
        self.classes = classes

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        texts = [self.texts[row] for row in rows]
        lengths = torch.tensor([len(text) for text in texts])
        return Batch(pad_sequence(texts, batch_first=True), self.classes[list(rows)], lengths)
