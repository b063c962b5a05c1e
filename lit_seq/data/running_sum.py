"""The running sum modulo n."""

from typing import Any

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task


class RunningSum(GeneratedData):
    """Running sum modulo n: an automaton whose state is its output, for recurrence from the output.

        y_t = (y_{t-1} + x_t) mod n,  y_0 = 0

    with x_t uniform on 0 … n-1. Each output counts all inputs so far, so one error spoils the rest of the
    sequence; but with the right y_{t-1} at hand each step is a look-up. With n = 2 it is parity.

    Batch: inputs x_t and targets y_t (batch, length) int64.

    Source: a task that output recurrence alone can do, as its output holds all that there is to know of the
    past (Goodfellow, Bengio & Courville 2016, section 10.2.1; Jordan 1986).

    Args:
        length: steps of a sequence.
        modulus: n.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 20, modulus: int = 5, **generated: Any) -> None:
        super().__init__(**generated)
        self.length = self._at_least(1, length=length)
        self.modulus = self._at_least(2, modulus=modulus)

    @property
    def task(self) -> Task:
        """One of n tokens a step in, one of n classes a step out."""
        return Task("tokens", self.modulus, "classes", self.modulus, "step")

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""
        inputs = torch.randint(self.modulus, (size, self.length), generator=generator)
        return Batch(inputs, inputs.cumsum(1) % self.modulus)
