"""Sentences with a class for each token, or for each node of a tree."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.classes import numbered_classes
from lit_seq.data.held_out import with_held_out
from lit_seq.data.loader import Loader
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.source import Source
from lit_seq.data.task import Task
from lit_seq.data.tree import Tree, arity
from lit_seq.data.vocabulary import Vocabulary


class Sentence(NamedTuple):
    """A sentence as it was read.

    Attributes:
        tokens: its tokens; of a tree, what stands at each node.
        tags: the tag of each, None where there is none.
        parents: each token's parent, from 0, and -1 at the root; None where the tokens are no tree.
    """

    tokens: list[str]
    tags: list[Any]
    parents: list[int] | None = None


class Sentences(SequenceData):
    """Sentences with a tag for each token, which may be the nodes of a tree.

    A token is one symbol, or the characters that it consists of: then its tag is the target of its last one,
    and a space stands between tokens. White space within a token becomes "_". Tokens that training did not
    see are unknown. A tag that only data not for training has is refused; a token without one counts nowhere.

    Batch: inputs (batch, longest) int64, padded with 0; targets (batch, longest) int64, padded with
    `IGNORED`; lengths (batch,) int64; of trees, the tree.

    Args:
        unit: what a symbol is.
        batch_size: sentences of a batch.
        max_length: most symbols of a sentence; the rest is cut off. Trees cannot be cut.
        vocabulary_size: most symbols to tell apart, the unknown one included: the rarer ones are unknown, and
            only if there are such is anything learned of unknown tokens.
        bucketing: whether a training batch has sentences of similar lengths (`lit_seq.data.bucketing`).
        validation_fraction: part of the training sentences to validate on, where there is no such split.
        test_fraction: part of the training sentences to test on, where there is no such split.
        validation_seed: decides which sentences those are; leave it alone to compare runs.
        seed: decides the order of the training sentences; by default the run's seed.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    source: Source
    """Where the sentences are from."""

    tag_column: str
    """Where their tags are from."""

    def __init__(
        self,
        unit: Literal["word", "character"] = "word",
        batch_size: int = 32,
        max_length: int | None = None,
        vocabulary_size: int | None = None,
        bucketing: bool = True,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        validation_seed: int = 0,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, num_workers)
        if unit not in ("word", "character"):
            raise self._wrong(f"unit is {unit!r}; it must be word or character.")
        self.unit = unit
        self.max_length = None if max_length is None else self._at_least(1, max_length=max_length)
        if vocabulary_size is not None:
            self._at_least(2, vocabulary_size=vocabulary_size)
        self.vocabulary_size = vocabulary_size
        self.bucketing = bucketing
        self.fractions = self._fractions(validation_fraction, test_fraction)
        self.validation_seed = validation_seed

    @abstractmethod
    def read(self) -> tuple[dict[Split, list[Sentence]], Any]:
        """Return the sentences of each split, "train" at least, and the tags' feature in `datasets`, if any.

        Raises:
            UserError: the data cannot be loaded, or a sentence is none.
        """

    @property
    def task(self) -> Task:
        """Which class each token has, or each node of a tree."""
        vocabulary, labels, sentences = self._numbered
        trees = [tree for of_split in sentences.values() for tree in of_split.parents if tree is not None]
        return Task(
            *("tokens", len(vocabulary), "classes", len(labels), "node" if trees else "step"),
            vocabulary=vocabulary.to_dict(),
            labels=labels,
            arity=max(arity(tree.tolist()) for tree in trees) if trees else None,
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols of the training sentences."""
        return self._numbered[0]

    def loader(self, split: Split) -> Loader | None:
        """Return the sentences of `split` in batches; None where it has none."""
        return self._in_batches(split, self._numbered[2].get(split), self.bucketing)

    @cached_property
    def _numbered(self) -> tuple[Vocabulary, tuple[str, ...], dict[Split, "_Numbered"]]:
        read, feature = self.read()
        tags: dict[Split, list[Any]] = {
            split: [tag for sentence in of_split for tag in sentence.tags] for split, of_split in read.items()
        }
        labels, numbers = numbered_classes(self.source, self.tag_column, feature, tags)
        sentences = with_held_out(read, self.fractions, self.validation_seed)
        if not sentences["train"]:
            raise self._wrong(f"{self.source} has no sentence to train on.")
        texts = (_text(sentence) for sentence in sentences["train"])
        vocabulary = Vocabulary.of(texts, self.unit, self.vocabulary_size)
        numbered = {
            split: _Numbered([self._number(sentence, vocabulary, numbers) for sentence in of_split])
            for split, of_split in sentences.items()
        }
        return vocabulary, labels, numbered

    def _number(
        self, sentence: Sentence, vocabulary: Vocabulary, numbers: dict[Any, int]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return a sentence's inputs, targets and parents, (symbols,) int64 each."""
        inputs = vocabulary.encode(_text(sentence))
        tags = torch.tensor([numbers[tag] for tag in sentence.tags])
        if self.unit == "character":
            ends = torch.tensor([len(token) for token in _tokens(sentence)]).add(1).cumsum(0) - 2
            tags = torch.full_like(inputs, IGNORED).index_put((ends,), tags)
        if sentence.parents is None:
            return inputs[: self.max_length], tags[: self.max_length], None
        if self.unit == "character" or self.max_length is not None:
            raise self._wrong(
                f"unit is {self.unit} and max_length {self.max_length}; of trees, which have a node a word"
                " and cannot be cut, they must be word and null."
            )
        return inputs, tags, torch.tensor(sentence.parents)


class _Numbered(Dataset[Batch]):
    """Padded batches of the sentences that a key lists."""

    def __init__(self, sentences: Sequence[tuple[Tensor, Tensor, Tensor | None]]) -> None:
        self.inputs = [inputs for inputs, _, _ in sentences]
        self.targets = [targets for _, targets, _ in sentences]
        self.parents = [parents for _, _, parents in sentences]
        self.steps = [len(inputs) for inputs in self.inputs]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        lengths = torch.tensor([len(self.inputs[row]) for row in rows])
        parents = [tree for row in rows if (tree := self.parents[row]) is not None]
        return Batch(
            pad_sequence([self.inputs[row] for row in rows], batch_first=True),
            pad_sequence([self.targets[row] for row in rows], batch_first=True, padding_value=IGNORED),
            lengths,
            Tree.of(pad_sequence(parents, batch_first=True), lengths) if parents else None,
        )


def _tokens(sentence: Sentence) -> list[str]:
    return [re.sub(r"\s+", "_", token) for token in sentence.tokens]


def _text(sentence: Sentence) -> str:
    return " ".join(_tokens(sentence))
