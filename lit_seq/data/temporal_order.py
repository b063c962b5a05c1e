"""Temporal order."""

from itertools import product
from typing import Any, Literal

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task

SYMBOLS = "EBabcdXY"
"""Token i is symbol i: start, end, four that distract, two whose order counts."""

START, END, FIRST_DISTRACTOR, FIRST_RELEVANT = 0, 1, 2, 6

WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}
"""First and last step of each relevant symbol, in hundredths of the length."""


class TemporalOrder(GeneratedData):
    """Temporal order: which of X and Y came when among distractors, for long-term memory of order.

    A string starts with E, ends with B, and holds two (task 6a) or three (task 6b) symbols that are X or Y,
    at random steps of the windows 10–20 and 50–60, or 10–20, 33–43 and 66–76, where the string has 100 to 110
    steps; all else is drawn from a, b, c, d. The class is the order: one of 4, or of 8. As they are equally
    likely, an answer without memory is right in 1/4, or 1/8, of the strings; the one that knows the last
    relevant symbol only, in 1/2, or 1/4.

    Batch: inputs (batch, length + length // 10) int64, padded with 0; targets (batch,) int64; lengths
    (batch,) int64.

    Source: Hochreiter & Schmidhuber 1997, section 5.6, tasks 6a and 6b, whose length is 100.

    Args:
        length: steps of the shortest strings; the longest are longer by a tenth, and the windows scale.
        relevant: how many symbols are X or Y.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 100, relevant: Literal[2, 3] = 2, **generated: Any) -> None:
        super().__init__(**generated)
        self.length = self._at_least(10, length=length)
        if relevant not in WINDOWS:
            raise self._wrong(f"relevant is {relevant}; it must be 2 or 3.")
        self.relevant = relevant

    @property
    def task(self) -> Task:
        """Eight tokens in; one of the orders out."""
        labels = tuple("".join(order) for order in product("XY", repeat=self.relevant))
        return Task("tokens", len(SYMBOLS), "classes", len(labels), "sequence", labels=labels)

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` strings."""

        def between(low: int, high: int, columns: int) -> torch.Tensor:
            return torch.randint(low, high + 1, (size, columns), generator=generator)

        longest = self.length + self.length // 10
        inputs = between(FIRST_DISTRACTOR, FIRST_RELEVANT - 1, longest)
        lengths = between(self.length, longest, 1)
        steps = [
            between(first * self.length // 100, last * self.length // 100, 1)
            for first, last in WINDOWS[self.relevant]
        ]
        relevant = between(0, 1, self.relevant)
        inputs[:, 0] = START
        inputs.scatter_(1, torch.cat(steps, 1), FIRST_RELEVANT + relevant)
        inputs.scatter_(1, lengths - 1, END)
        inputs[torch.arange(longest) >= lengths] = 0
        places = 2 ** torch.arange(self.relevant - 1, -1, -1)
        return Batch(inputs, (relevant * places).sum(1), lengths.squeeze(1))
