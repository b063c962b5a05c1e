"""The copying-memory problem."""

from typing import Any

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task

ALPHABET = 8
BLANK = 0
MARKER = ALPHABET + 1


class CopyingMemory(GeneratedData):
    """Copying memory: symbols to repeat after a long blank, for long-term memory of classes.

    The input is K symbols drawn from 1 … 8, T - 1 blanks (0), a marker (9) and K blanks; the target is
    T + K blanks, then the K symbols. The best answer without memory (blanks, then any symbol) has a
    cross-entropy of K·ln 8 / (T + 2K) nats a step.

    Batch: inputs and targets (batch, T + 2K) int64.

    Source: Hochreiter & Schmidhuber 1997; in this form Arjovsky, Shah & Bengio 2016, section 5.1.

    Args:
        length: T, steps between the last symbol and the first step of the answer.
        symbols: K, symbols to remember.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 100, symbols: int = 10, **generated: Any) -> None:
        super().__init__(**generated)
        self.length = self._at_least(1, length=length)
        self.symbols = self._at_least(1, symbols=symbols)

    @property
    def task(self) -> Task:
        """Ten tokens in; nine classes a step out, as the marker is never an answer."""
        return Task("tokens", ALPHABET + 2, "classes", ALPHABET + 1, "step")

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""
        symbols = torch.randint(1, ALPHABET + 1, (size, self.symbols), generator=generator)
        inputs = torch.full((size, self.length + 2 * self.symbols), BLANK)
        targets = inputs.clone()
        inputs[:, : self.symbols] = symbols
        inputs[:, self.symbols + self.length - 1] = MARKER
        targets[:, -self.symbols :] = symbols
        return Batch(inputs, targets)
