"""Batch normalisation that leaves padding out of its statistics."""

import torch
from torch import Tensor, nn

_EPSILON = 1e-5
_MOMENTUM = 0.1


class BatchNorm(nn.Module):
    """Batch normalisation, without a bias, of features or of features at each of several steps.

        y = γ ⊙ (x - μ) / √(σ² + ε),  ε = 10⁻⁵

    In training μ and σ² are the mean and variance of the batch, and a tenth of them (σ² with Bessel's
    correction) goes into running statistics, which take their place in evaluation.

    Source: Ioffe & Szegedy 2015 (arXiv:1502.03167), algorithms 1 and 2.

    Attributes:
        gain: γ, (features,).
        running: running mean and variance of each step, (steps, 2, features).

    Args:
        features: number of features.
        gain: initial γ.
        steps: number of steps that have statistics of their own.
    """

    running: Tensor

    def __init__(self, features: int, gain: float, steps: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((features,), gain))
        self.register_buffer("running", torch.tensor([[0.0], [1.0]]).repeat(steps, 1, features))

    def forward(self, values: Tensor, valid: Tensor | None, step: Tensor) -> Tensor:
        """Normalise each feature over all else.

        Args:
            values: (…, features).
            valid: (…, 1), false or 0 where values count for nothing; None where all count.
            step: whose statistics they are, int64; in training (1,), in evaluation any shape that fits.
        """
        if not self.training:
            mean, variance = self.running[step].unbind(-2)
            return (values - mean) * (self.gain * torch.rsqrt(variance + _EPSILON))
        rows = values.flatten(0, -2)
        counts = rows.new_ones(len(rows), 1) if valid is None else valid.to(values.dtype).flatten(0, -2)
        number = counts.sum()
        share = counts.mT / number.clamp(min=1)
        mean = share @ rows
        centred = rows - mean
        variance = share @ centred.square()
        with torch.no_grad():
            self._remember(
                torch.stack([mean, variance * number / (number - 1).clamp(min=1)], 1), number, step
            )
        return (centred * (self.gain * torch.rsqrt(variance + _EPSILON))).reshape(values.shape)

    def _remember(self, statistics: Tensor, number: Tensor, step: Tensor) -> None:
        # A value alone says nothing of a variance.
        moved = self.running[step].lerp(statistics, _MOMENTUM * (number > 1))
        # In place, so that a stacked trial's statistics are a row of the stack's.
        self.running.index_put_((step,), moved)
