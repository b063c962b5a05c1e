"""A slow wave under fast noise."""

import math
from typing import Any

import torch

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task


class SlowSignal(GeneratedData):
    """Slow signal: how often a wave under fast noise swings in a sequence, for units with slow time scales.

        x_t = sin(2π (k+1) t/T + φ) + σ ε_t,  t = 0 … T-1

    with class k uniform on 0 … K-1, phase φ uniform on [0, 2π) and ε_t ~ N(0, 1). At any one step x_t has
    the same distribution under all classes, so that an answer without memory is right in 1/K of the
    sequences; a stretch much shorter than T/K says hardly more. The problem is made for this package, after
    the argument for leaky units (Mozer 1992) and clockwork modules (Koutník et al. 2014, section 1): slow
    structure under fast change, which an Elman network misses.

    Batch: inputs (batch, length, 1) float32, targets (batch,) int64.

    Args:
        length: T, steps of a sequence.
        classes: K, different numbers of swings: 1 … K.
        noise: σ, standard deviation of the noise; the wave's amplitude is 1.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, length: int = 128, classes: int = 4, noise: float = 0.5, **generated: Any) -> None:
        super().__init__(**generated)
        self.classes = self._at_least(2, classes=classes)
        # Above half a swing a step, one wave takes the values of another.
        self.length = self._at_least(2 * classes + 1, length=length)
        if not 0 <= noise < math.inf:
            raise self._wrong(f"noise is {noise}; it must be at least 0 and finite.")
        self.noise = noise

    @property
    def task(self) -> Task:
        """One value a step in, one class a sequence out."""
        labels = tuple(str(swings) for swings in range(1, self.classes + 1))
        return Task("vectors", 1, "classes", self.classes, "sequence", labels=labels)

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences."""
        classes = torch.randint(self.classes, (size,), generator=generator)
        phases = 2 * math.pi * torch.rand(size, 1, generator=generator)
        angles = 2 * math.pi / self.length * torch.arange(self.length)
        wave = torch.sin((classes.unsqueeze(1) + 1) * angles + phases)
        noise = self.noise * torch.randn(size, self.length, generator=generator)
        return Batch((wave + noise).unsqueeze(-1), classes)
