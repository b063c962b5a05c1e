"""Gradient clipping of stacked trials, each with its own threshold and kind."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Threshold = tuple[float | None, Literal["norm", "value"]]
"""`trainer.gradient_clip_val` and `trainer.gradient_clip_algorithm` of a trial."""


def norms(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return each trial's gradient norm over all parameters, (trials,)."""
    gradients = [p.grad.flatten(1) for p in parameters if p.grad is not None]
    trials = len(gradients[0])
    # One row would be summed in another order than several are, with other last bits.
    gradients = [torch.cat([g, g]) for g in gradients] if trials == 1 else gradients
    each = [torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients]
    return torch.linalg.vector_norm(torch.stack(each), dim=0)[:trials]


@torch.no_grad()
def clip(parameters: Sequence[nn.Parameter], thresholds: Sequence[Threshold]) -> None:
    """Clip in place, as `clip_grad_norm_` or `clip_grad_value_` of `torch.nn.utils` do for a single trial.

    By norm is Pascanu, Mikolov and Bengio 2013, algorithm 1. A trial without a threshold, or one whose
    gradient is not a number, changes no other trial's gradient.
    """
    by_norm = [value if value and kind == "norm" else math.inf for value, kind in thresholds]
    by_value = [value if value and kind == "value" else math.inf for value, kind in thresholds]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if min(by_norm) < math.inf:
        norm = norms(parameters)
        limit = torch.tensor(by_norm, dtype=norm.dtype, device=norm.device)
        factor = (limit / (norm + 1e-6)).clamp(max=1.0)
        factor = torch.where(limit.isinf(), torch.ones_like(factor), factor)
        for gradient in gradients:
            gradient.mul_(factor.to(gradient.dtype).view(-1, *[1] * (gradient.dim() - 1)))
    if min(by_value) < math.inf:
        for gradient in gradients:
            limit = torch.tensor(by_value, dtype=gradient.dtype, device=gradient.device)
            limit = limit.view(-1, *[1] * (gradient.dim() - 1))
            gradient.copy_(torch.maximum(torch.minimum(gradient, limit), -limit))
