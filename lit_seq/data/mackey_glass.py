"""The Mackey-Glass equation."""

from typing import Any

import torch
from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task

STEP = 0.1
"""Time between two values of the integration; a sequence has every tenth of them."""

TRANSIENT = 1000
"""Time for which the system runs before a sequence begins."""


class MackeyGlass(GeneratedData):
    """Mackey-Glass: predict a chaotic series k steps ahead, for models of dynamics.

        dx/dt = 0.2 x(t-τ) / (1 + x(t-τ)¹⁰) - 0.1 x(t)

    Integrated by Euler's method with a step of 0.1, as is the custom for this benchmark, and sampled at
    t = 0, 1, 2, …, after the first 1,000 units of time. Each sequence starts from a constant history of its
    own, drawn from U[0.5, 1.5). The series is chaotic for τ > 16.8: mildly at τ = 17, more at 30.

    Batch: inputs x(t) (batch, length, 1), targets x(t+k) (batch, length, 1), both float32.

    Source: Mackey & Glass 1977 (Science 197); discretised as in Jaeger & Haas 2004 (Science 304), supporting
    text.

    Args:
        length: steps of a sequence.
        ahead: k, steps from an input to its target; 1, 6 and 84 are common.
        delay: τ, in steps.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 500, ahead: int = 6, delay: int = 17, **generated: Any) -> None:
        super().__init__(**generated)
        self.length = self._at_least(1, length=length)
        self.ahead = self._at_least(1, ahead=ahead)
        self.delay = self._at_least(1, delay=delay)

    @property
    def task(self) -> Task:
        """One value a step in, one value a step out."""
        return Task("vectors", 1, "values", 1, "step")

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""
        history = 0.5 + torch.rand(size, generator=generator, dtype=torch.float64)
        steps = TRANSIENT + self.length + self.ahead
        series = integrate(history, self.delay, steps)[TRANSIENT:]
        inputs, targets = series[: self.length], series[self.ahead :]
        inputs, targets = (x.mT.unsqueeze(2).float().contiguous() for x in (inputs, targets))
        return Batch(inputs, targets)


def integrate(history: Tensor, delay: int, steps: int) -> Tensor:
    """Return x at t = 0, 1, …, `steps` - 1, by Euler's method.

    x(t-τ) is known for one delay ahead, and the equation is linear in x(t): Euler's steps
    x_{k+1} = (1 - 0.1 h) x_k + h f_k are taken together, by sums over 2, 4, 8, … of them.

    Args:
        history: x(t) for all t ≤ 0, (batch,).
        delay: τ.
        steps: values to return.

    Returns:
        (steps, batch).
    """
    each = round(1 / STEP)
    size = delay * each
    blocks = [history.expand(size, -1)]
    before = history
    for _ in range(-(-steps // delay)):
        delayed = torch.cat([before.unsqueeze(0), blocks[-1][:-1]])
        before = blocks[-1][-1]
        # Products and sums alone, which every processor rounds alike: chaos would magnify a last bit.
        squared = delayed * delayed
        fourth = squared * squared
        summed = 0.2 * STEP * delayed / (1 + fourth * fourth * squared)
        factor, shift = 1 - 0.1 * STEP, 1
        summed[0] += factor * before
        while shift < size:
            summed[shift:] = summed[shift:] + factor * summed[:-shift]
            factor, shift = factor * factor, 2 * shift
        blocks.append(summed)
    return torch.cat([history.unsqueeze(0), *blocks[1:]])[::each][:steps]
