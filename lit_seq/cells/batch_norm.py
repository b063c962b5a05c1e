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
        mean: running mean, (steps, features).
        variance: running variance, (steps, features).

    Args:
        features: number of features.
        gain: initial γ.
        steps: number of steps that have statistics of their own.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int, gain: float, steps: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((features,), gain))
        self.register_buffer("mean", torch.zeros(steps, features))
        self.register_buffer("variance", torch.ones(steps, features))

    def forward(self, values: Tensor, valid: Tensor | None, step: Tensor) -> Tensor:
        """Normalise each feature over all else.

        Args:
            values: (…, features).
            valid: (…, 1), false or 0 where values count for nothing; None where all count.
            step: whose statistics they are, int64; in training (1,), in evaluation any shape that fits.
        """
        if self.training:
            mean, variance = self._of_batch(values, valid, step)
        else:
            mean, variance = self.mean[step], self.variance[step]
        return (values - mean) * (self.gain * torch.rsqrt(variance + _EPSILON))

    def _of_batch(self, values: Tensor, valid: Tensor | None, step: Tensor) -> tuple[Tensor, Tensor]:
        counts = values.new_ones(*values.shape[:-1], 1) if valid is None else valid.to(values.dtype)
        over = tuple(range(values.dim() - 1))
        number = counts.sum()
        mean = (values * counts).sum(over) / number.clamp(min=1)
        variance = ((values - mean).square() * counts).sum(over) / number.clamp(min=1)
        # A value alone says nothing of a variance.
        share = _MOMENTUM * (number > 1)
        with torch.no_grad():
            unbiased = variance * number / (number - 1).clamp(min=1)
            for running, new in ((self.mean, mean), (self.variance, unbiased)):
                running.index_put_((step,), running[step].lerp(new, share))
        return mean, variance
