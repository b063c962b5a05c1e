"""Long text in parallel streams, for truncated backpropagation through time."""

from abc import abstractmethod
from functools import cached_property

from torch import Tensor
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.loader import Loader, in_turn
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Unit, Vocabulary


class TextStreams(SequenceData):
    """Long text to predict symbol by symbol.

    The training text is cut into `batch_size` streams of equal length, and batch i is chunk i of each of
    them: row b of a batch continues row b of the batch before, so a model may carry its state along. An
    epoch starts all streams anew. What is left at the end (less than a chunk of each stream in training,
    less than a symbol of each stream otherwise) is not used. Held-out text is cut into fewer streams
    where it is too short to give each a chunk, and its last chunk may be shorter.

    Batch: inputs (streams, chunk_length) int64; targets, of the same shape, are the symbols that follow.

    Args:
        unit: what a symbol is: character, byte or word.
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
        numbers = self._encoded[1].get(split)
        if numbers is None:
            return None
        streams, chunks = self.batch_size, (len(numbers) - 1) // self.batch_size // self.chunk_length
        if split != "train":
            streams = min(streams, max(1, (len(numbers) - 1) // self.chunk_length))
            chunks = -(-((len(numbers) - 1) // streams) // self.chunk_length)
        return Loader(_Chunks(numbers, streams, self.chunk_length), in_turn(chunks), self.num_workers)

    @cached_property
    def _encoded(self) -> tuple[Vocabulary, dict[Split, Tensor]]:
        texts = self._with_held_out(self.read())
        vocabulary = Vocabulary.of([texts["train"]], self.unit, self.vocabulary_size)
        numbers = {split: vocabulary.encode(text) for split, text in texts.items()}
        self._check(numbers)
        return vocabulary, numbers

    def _with_held_out(self, texts: dict[Split, str]) -> dict[Split, str]:
        """Cut the splits that the data lacks from the end of the training text."""
        texts = {split: text[: self.max_characters] for split, text in texts.items()}
        total = len(texts["train"])
        for split in ("test", "validation"):
            if split not in texts and (length := round(total * self.fractions[split])):
                texts["train"], texts[split] = texts["train"][:-length], texts["train"][-length:]
        return texts

    def _check(self, numbers: dict[Split, Tensor]) -> None:
        length = len(numbers["train"])
        stream = max(0, length - 1) // self.batch_size
        if stream < self.chunk_length:
            raise self._wrong(
                f"chunk_length {self.chunk_length} is longer than a stream: {length} {self.unit}s of"
                f" training text make {self.batch_size} streams (batch_size) of {stream} each; lower one."
            )
        for split, held_out in numbers.items():
            if len(held_out) < 2:
                raise self._wrong(
                    f"the {split} text has {len(held_out)} {self.unit}s; it needs at least 2, or a"
                    f" {split}_fraction of 0."
                )


class _Chunks(Dataset[Batch]):
    """Chunk i of all streams."""

    def __init__(self, numbers: Tensor, streams: int, chunk_length: int) -> None:
        length = (len(numbers) - 1) // streams
        self.inputs = numbers[: streams * length].view(streams, length)
        self.targets = numbers[1 : streams * length + 1].view(streams, length)
        self.chunk_length = chunk_length

    def __getitem__(self, index: int) -> Batch:
        steps = slice(index * self.chunk_length, (index + 1) * self.chunk_length)
        return Batch(self.inputs[:, steps], self.targets[:, steps])
