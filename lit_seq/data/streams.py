"""Long text in parallel streams, for truncated backpropagation through time."""

from abc import abstractmethod
from collections.abc import Container
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.loader import Loader, in_turn
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.stored import StoredSymbols
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Unit, Vocabulary

Symbols = Tensor | StoredSymbols
"""Numbers of a text's symbols, (symbols,) int64."""


class TextStreams(SequenceData):
    """Long text to predict symbol by symbol.

    The training text is cut into `batch_size` streams of equal length, and batch i is chunk i of each of
    them: row b of a batch continues row b of the batch before, so a model may carry its state along. An
    epoch starts all streams anew. What is left at the end (less than a chunk of each stream in training,
    less than a symbol of each stream otherwise) is not used. Held-out text is cut into fewer streams
    where it is too short to give each a chunk, and its last chunk may be shorter.

    Batch: inputs (streams, chunk_length) int64; targets, of the same shape, are the symbols that follow.

    Args:
        unit: what a symbol is: character, byte, word or subword.
        chunk_length: k, symbols of a stream in a batch: the steps that the gradient goes back.
        batch_size: streams.
        validation_fraction: part of the training text, before the test part, to validate on, where the
            data has no validation split.
        test_fraction: part of the training text, at its end, to test on, where the data has no test split.
        vocabulary_size: most symbols to tell apart, the unknown one included; the rarer ones are unknown.
        max_characters: most characters to read of each split.
        seed: has no effect here, as text is read in its order.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    def __init__(
        self,
        unit: Unit = "character",
        chunk_length: int = 50,
        batch_size: int = 50,
        validation_fraction: float = 0.05,
        test_fraction: float = 0.05,
        vocabulary_size: int | None = None,
        max_characters: int | None = None,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, num_workers)
        self.unit = unit
        self.chunk_length = self._at_least(1, chunk_length=chunk_length)
        self.fractions = self._fractions(validation_fraction, test_fraction)
        if vocabulary_size is not None:
            self._at_least(2, vocabulary_size=vocabulary_size)
        if max_characters is not None:
            self._at_least(1, max_characters=max_characters)
        self.vocabulary_size = vocabulary_size
        self.max_characters = max_characters

    @abstractmethod
    def read(self) -> dict[Split, str]:
        """Return the text of each split that the data has, "train" at least."""

    @property
    def task(self) -> Task:
        """Which symbol follows, at every step."""
        size = len(self.vocabulary)
        return Task("tokens", size, "classes", size, "next", self.vocabulary.to_dict())

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols of the training text."""
        return self._encoded[0]

    def loader(self, split: Split) -> Loader | None:
        """Return the chunks of `split`; None where it has no text."""
        symbols = self._encoded[1].get(split)
        if symbols is None:
            return None
        # Of several processes there are more streams than were counted on when the text was read.
        self._check(self._encoded[1])
        streams, chunks = self.batch_size, (len(symbols) - 1) // self.batch_size // self.chunk_length
        if split != "train":
            streams = min(streams, max(1, (len(symbols) - 1) // self.chunk_length))
            chunks = -(-((len(symbols) - 1) // streams) // self.chunk_length)
        return Loader(_Chunks(symbols, streams, self.chunk_length), in_turn(chunks), self.num_workers)

    def encode(self) -> tuple[Vocabulary, dict[Split, Symbols]]:
        """Return the symbols of the training text, and their numbers in the text of each split."""
        texts = self._with_held_out(self.read())
        vocabulary = Vocabulary.of([texts["train"]], self.unit, self.vocabulary_size)
        return vocabulary, {split: vocabulary.encode(text) for split, text in texts.items()}

    @cached_property
    def _encoded(self) -> tuple[Vocabulary, dict[Split, Symbols]]:
        vocabulary, symbols = self.encode()
        self._check(symbols)
        return vocabulary, symbols

    def _with_held_out(self, texts: dict[Split, str]) -> dict[Split, str]:
        texts = {split: text[: self.max_characters] for split, text in texts.items()}
        train = texts["train"]
        return texts | {split: train[part] for split, part in self._parts(len(train), texts).items()}

    def _parts(self, length: int, splits: Container[Split]) -> dict[Split, slice]:
        """Return where train, and what the data lacks of validation and test, are in its training text."""
        parts: dict[Split, slice] = {}
        stop = length
        for split in ("test", "validation"):
            if split not in splits and (held_out := round(length * self.fractions[split])):
                parts[split] = slice(stop - held_out, stop)
                stop -= held_out
        return parts | {"train": slice(stop)}

    def _check(self, symbols: dict[Split, Symbols]) -> None:
        length = len(symbols["train"])
        stream = max(0, length - 1) // self.batch_size
        if stream < self.chunk_length:
            raise self._wrong(
                f"chunk_length {self.chunk_length} is longer than a stream: {length} {self.unit}s of"
                f" training text make {self.batch_size} streams (batch_size) of {stream} each; lower one."
            )
        for split, held_out in symbols.items():
            if len(held_out) < 2:
                raise self._wrong(
                    f"the {split} text has {len(held_out)} {self.unit}s; it needs at least 2, or a"
                    f" {split}_fraction of 0."
                )


class _Chunks(Dataset[Batch]):
    """Chunk i of all streams."""

    def __init__(self, symbols: Symbols, streams: int, chunk_length: int) -> None:
        self.symbols, self.chunk_length = symbols, chunk_length
        self.stream_length = (len(symbols) - 1) // streams
        self.starts = range(0, streams * self.stream_length, self.stream_length)

    def __getitem__(self, index: int) -> Batch:
        first = index * self.chunk_length
        behind = min(first + self.chunk_length, self.stream_length) + 1
        chunk = torch.stack([self.symbols[start + first : start + behind] for start in self.starts])
        return Batch(chunk[:, :-1], chunk[:, 1:])
