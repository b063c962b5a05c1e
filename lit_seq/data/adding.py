"""The adding problem."""

from typing import Any

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task


class AddingProblem(GeneratedData):
    """Adding problem: the sum of two marked numbers in a long sequence, for long-term memory of values.

    Each step has a number from U[0, 1) and a mark, which is 1 at one step of the first half and at one
    of the second, else 0. The target is the sum of the two marked numbers. Answering 1 always has a
    mean squared error of 1/6.

    Batch: inputs (batch, length, 2) float32, targets (batch, 1) float32.

    Source: Hochreiter & Schmidhuber 1997, section 5.4; in this form (fixed length, one mark in each half)
    Arjovsky, Shah & Bengio 2016, section 5.2.

    Args:
        length: steps of a sequence.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 100, **generated: Any) -> None:
        super().__init__(**generated)
        self.length = self._at_least(2, length=length)

    @property
    def task(self) -> Task:
        """Two values a step in, one value a sequence out."""
        return Task("vectors", 2, "values", 1, "sequence")

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""
        numbers = torch.rand(size, self.length, generator=generator)
        half = self.length // 2
        first = torch.randint(0, half, (size, 1), generator=generator)
        second = torch.randint(half, self.length, (size, 1), generator=generator)
        marked = torch.cat([first, second], dim=1)
        marks = torch.zeros(size, self.length).scatter_(1, marked, 1.0)
        return Batch(torch.stack([numbers, marks], dim=2), numbers.gather(1, marked).sum(1, keepdim=True))
