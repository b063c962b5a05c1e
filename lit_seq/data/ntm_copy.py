"""The copy task of the neural Turing machine."""

from typing import Any

import torch
from torch.nn import functional

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task


class NTMCopy(GeneratedData):
    """Copy task of the neural Turing machine: a sequence of random bit vectors to repeat, of any length.

    The input is n vectors of random bits, n uniform on `min_length` … `max_length`, then a mark on a channel
    of its own, then n steps of zeros, at which the n vectors are to be given back; only these count. An
    answer without memory costs 1 bit a bit: a loss of ln 2 nats, `width`·n bits a sequence.

    Batch: inputs (batch, 2·max_length + 1, width + 1) float32; targets (batch, 2·max_length + 1, width)
    int64, IGNORED where nothing counts; lengths (batch,) int64, 2n + 1.

    Source: Graves, Wayne & Danihelka 2014, section 4.1. Their cost is `bits_per_sequence`.

    Args:
        min_length: fewest vectors.
        max_length: most vectors.
        width: bits of a vector.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, min_length: int = 1, max_length: int = 20, width: int = 8, **generated: Any) -> None:
        super().__init__(**generated)
        self.min_length = self._at_least(1, min_length=min_length)
        self.max_length = self._at_least(min_length, max_length=max_length)
        self.width = self._at_least(1, width=width)

    @property
    def task(self) -> Task:
        """Bits and a mark in, bits out."""
        return Task("vectors", self.width + 1, "bits", self.width, "step")

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""
        lengths = torch.randint(self.min_length, self.max_length + 1, (size, 1), generator=generator)
        bits = torch.randint(2, (size, self.max_length, self.width), generator=generator)
        step = torch.arange(2 * self.max_length + 1)
        shown = functional.pad(bits, (0, 1, 0, self.max_length + 1)) * (step < lengths).unsqueeze(2)
        shown[..., -1] = step == lengths
        answer = (lengths < step) & (step <= 2 * lengths)
        copied = (step - lengths - 1).clamp(0, self.max_length - 1).unsqueeze(2).expand(-1, -1, self.width)
        targets = torch.where(answer.unsqueeze(2), bits.gather(1, copied), IGNORED)
        return Batch(shown.float(), targets, 2 * lengths.squeeze(1) + 1)
