"""The NARMA-10 system."""

from typing import Any

import torch
from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task


class NARMA10(GeneratedData):
    """NARMA-10: follow a non-linear moving average of order ten, for memory of values and their products.

        y_{t+1} = 0.3 y_t + 0.05 y_t Σ_{i=0}^{9} y_{t-i} + 1.5 u_{t-9} u_t + 0.1

    u_t is drawn from U[0, 0.5); y and u are zero up to the first step, so that some 20 steps are a transient.
    The system is not quite stable: a sequence in which y exceeds 1.5, where it starts to grow without bound
    (about once in 200,000 steps), is drawn anew.

    Batch: inputs u_t (batch, length, 1), targets y_{t+1} (batch, length, 1), both float32.

    Source: Atiya & Parlos 2000 (IEEE Transactions on Neural Networks 11); as a test of echo state networks
    Jaeger 2003 (NIPS 15).

    Args:
        length: steps of a sequence.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 500, **generated: Any) -> None:
        super().__init__(**generated)
        self.length = self._at_least(1, length=length)

    @property
    def task(self) -> Task:
        """One value a step in, one value a step out."""
        return Task("vectors", 1, "values", 1, "step")

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""

        def draw(rows: int) -> Tensor:
            return 0.5 * torch.rand(self.length, rows, generator=generator, dtype=torch.float64)

        inputs = draw(size)
        targets = respond(inputs)
        # Infinity less infinity is no number, and greater than none.
        while len(wild := (~(targets.amax(0) <= 1.5)).nonzero().squeeze(1)):
            inputs[:, wild] = draw(len(wild))
            targets[:, wild] = respond(inputs[:, wild])
        inputs, targets = (x.mT.unsqueeze(2).float().contiguous() for x in (inputs, targets))
        return Batch(inputs, targets)


def respond(inputs: Tensor) -> Tensor:
    """Return y_{t+1} at each step t of u, (time, batch)."""
    delayed = torch.cat([torch.zeros_like(inputs[:9]), inputs])[: len(inputs)]
    driven = 1.5 * delayed * inputs + 0.1
    past = [torch.zeros_like(inputs[0])] * 10
    window = past[0]
    for drive in driven.unbind(0):
        y = past[-1]
        past.append(0.3 * y + 0.05 * y * window + drive)
        window = window + past[-1] - past[-11]
    return torch.stack(past[10:])
