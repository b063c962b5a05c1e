"""Scheduled sampling: how often a decoder in training reads its own tokens instead of the right ones."""

import torch
from torch import Tensor, nn

from lit_seq.cores.dropout import StepDropout
from lit_seq.errors import UserError


class ScheduledSampling(nn.Module):
    """Decides, token by token, whether the right one is fed back (Bengio, Vinyals, Jaitly & Shazeer 2015).

        1 - ε_i = p · min(1, i / n)

    is the probability at training step i = 1, 2, … of reading the model's own token: their linear decay of ε,
    and with n = 1 a constant.

    Args:
        probability: p, where the schedule ends.
        steps: n, training steps until it is there.

    Raises:
        UserError: `probability` is none, or `steps` is below 1.
    """

    probability: Tensor
    steps: Tensor

    def __init__(self, probability: float, steps: int) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise UserError(f"sampling is {probability}; it must be from 0 to 1.")
        if steps < 1:
            raise UserError(f"sampling_steps is {steps}; it must be at least 1.")
        self.register_buffer("probability", torch.tensor(probability), persistent=False)
        self.register_buffer("steps", torch.tensor(float(steps)), persistent=False)
        self.uniform = _Uniform(probability, time=1, steps="targets")

    @property
    def active(self) -> bool:
        """Whether anything but the right tokens may be fed back."""
        # In a pack it is no longer nn.Dropout, and some trial's probability is above 0.
        return self.training and getattr(self.uniform, "p", 1) > 0

    def forward(self, tokens: Tensor, trained_steps: Tensor) -> Tensor:
        """Return where the right one is fed back, a bool for each of `tokens`."""
        rate = self.probability * ((trained_steps + 1) / self.steps).clamp(max=1)
        return self.uniform(torch.ones_like(tokens, dtype=rate.dtype)) >= rate


class _Uniform(StepDropout):
    """Multiplies by numbers drawn from [0, 1), where there is anything to draw for.

    It is a dropout, whatever else, so that each trial of a pack draws its own.
    """

    def forward(self, ones: Tensor) -> Tensor:
        return ones * torch.rand_like(ones) if self.training and self.p > 0 else ones
