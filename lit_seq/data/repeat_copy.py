"""The repeat-copy task of the neural Turing machine."""

from typing import Any

import torch

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task

REPEATS_MEAN, REPEATS_DEVIATION = 5.5, (99 / 12) ** 0.5
"""Of the numbers 1 … 10 of the paper, whatever numbers are drawn: a model can be tested on others."""


class RepeatCopy(GeneratedData):
    """Repeat-copy task of the neural Turing machine: bit vectors to repeat a given number of times.

    The input is n vectors of random bits, then a step with a mark on one channel and the number of repeats r
    on another, as (r - 5.5)/√(99/12), then zeros. The output, from the step after the mark on, is the n
    vectors r times over and then an end mark, on a channel of its own; nothing before counts. n and r are
    uniform. An answer without memory costs 1 bit a bit copied: more than `width`·n·r bits a sequence.

    Batch: inputs (batch, time, width + 2) float32, time = max_length·(1 + max_repeats) + 2; targets (batch,
    time, width + 1) int64, IGNORED where nothing counts; lengths (batch,) int64, n·(1 + r) + 2.

    Source: Graves, Wayne & Danihelka 2014, section 4.2. Their cost is `bits_per_sequence`.

    Args:
        min_length: fewest vectors.
        max_length: most vectors.
        min_repeats: fewest repeats.
        max_repeats: most repeats.
        width: bits of a vector.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(
        self,
        min_length: int = 1,
        max_length: int = 10,
        min_repeats: int = 1,
        max_repeats: int = 10,
        width: int = 8,
        **generated: Any,
    ) -> None:
        super().__init__(**generated)
        self.min_length = self._at_least(1, min_length=min_length)
        self.max_length = self._at_least(min_length, max_length=max_length)
        self.min_repeats = self._at_least(1, min_repeats=min_repeats)
        self.max_repeats = self._at_least(min_repeats, max_repeats=max_repeats)
        self.width = self._at_least(1, width=width)

    @property
    def task(self) -> Task:
        """Bits, a mark and a number in; bits and a mark out."""
        return Task("vectors", self.width + 2, "bits", self.width + 1, "step")

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""
        lengths = torch.randint(self.min_length, self.max_length + 1, (size, 1), generator=generator)
        repeats = torch.randint(self.min_repeats, self.max_repeats + 1, (size, 1), generator=generator)
        bits = torch.randint(2, (size, self.max_length, self.width), generator=generator)
        step = torch.arange(self.max_length * (1 + self.max_repeats) + 2)

        inputs = torch.zeros(size, len(step), self.width + 2)
        inputs[:, : self.max_length, : self.width] = bits * (step[: self.max_length] < lengths).unsqueeze(2)
        marked = step == lengths
        inputs[..., -2] = marked
        inputs[..., -1] = torch.where(marked, (repeats - REPEATS_MEAN) / REPEATS_DEVIATION, 0.0)

        since = step - lengths - 1
        last = lengths * repeats
        copied = (since % lengths).unsqueeze(2).expand(-1, -1, self.width)
        answers = bits.gather(1, copied) * (since < last).unsqueeze(2)
        answers = torch.cat([answers, (since == last).unsqueeze(2)], 2)
        counts = ((since >= 0) & (since <= last)).unsqueeze(2)
        return Batch(inputs, torch.where(counts, answers, IGNORED), (lengths + last).squeeze(1) + 2)
