"""Parity."""

from typing import Any

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task


class Parity(GeneratedData):
    """Parity: whether a string of bits has an odd number of ones, for memory in which no error heals.

    The bits are drawn at random, one a step. An answer that lacks a single one of them is right in half of
    the strings, and that is the baseline without memory. With `each_step` there is a target at each step,
    the parity of the bits so far, which leads the way; the baseline is the same from the second step on.

    Batch: inputs (batch, length) int64, targets (batch,) int64; with `each_step` (batch, length) int64.

    Source: Bengio, Simard & Frasconi 1994; Hochreiter & Schmidhuber 1996.

    Args:
        length: bits of a string.
        each_step: ask for the parity of the bits so far at each step.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 20, each_step: bool = False, **generated: Any) -> None:
        super().__init__(**generated)
        self.length = self._at_least(1, length=length)
        self.each_step = each_step

    @property
    def task(self) -> Task:
        """Two tokens in; even or odd, of the sequence or at each step."""
        return Task(
            "tokens", 2, "classes", 2, "step" if self.each_step else "sequence", labels=("even", "odd")
        )

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` strings."""
        bits = torch.randint(2, (size, self.length), generator=generator)
        parity = bits.cumsum(1) % 2
        return Batch(bits, parity if self.each_step else parity[:, -1])
