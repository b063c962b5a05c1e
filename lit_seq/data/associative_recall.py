"""Associative recall."""

from string import ascii_lowercase, digits
from typing import Any

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task

SYMBOLS = ascii_lowercase + digits + "?"
"""Token i is symbol i: keys, values, and the mark before the question."""

KEYS, VALUES = len(ascii_lowercase), len(digits)


class AssociativeRecall(GeneratedData):
    """Associative recall: the value that was paired with a key, for memory that is addressed by content.

    K pairs of a letter and a digit, "??", and one of the letters; the answer is its digit: for c9k8j3f1??c
    it is 9. Letters are different in a string, digits need not be. An answer without memory is right in 1/10
    of the strings.

    Batch: inputs (batch, 2K + 3) int64, targets (batch,) int64.

    Source: Ba, Hinton, Mnih, Leibo & Ionescu 2016, section 4.1. (The task of that name in
    Graves et al. 2014, section 4.3, asks for the item that followed in a list of bit patterns.)

    Args:
        pairs: K.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, pairs: int = 4, **generated: Any) -> None:
        super().__init__(**generated)
        self.pairs = self._at_least(1, pairs=pairs)
        if pairs > KEYS:
            raise self._wrong(f"pairs is {pairs}; it must be at most {KEYS}, the number of letters.")

    @property
    def task(self) -> Task:
        """Letters, digits and a question mark in; one of ten digits out."""
        return Task("tokens", len(SYMBOLS), "classes", VALUES, "sequence", labels=tuple(digits))

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` strings."""
        keys = torch.rand(size, KEYS, generator=generator).argsort(1)[:, : self.pairs]
        values = torch.randint(VALUES, (size, self.pairs), generator=generator)
        asked = torch.randint(self.pairs, (size, 1), generator=generator)
        pairs = torch.stack([keys, KEYS + values], 2).flatten(1)
        marks = torch.full((size, 2), SYMBOLS.index("?"))
        return Batch(torch.cat([pairs, marks, keys.gather(1, asked)], 1), values.gather(1, asked).squeeze(1))
