"""Gradient clipping of stacked trials, each with its own threshold and kind."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Threshold = tuple[float | None, Literal["norm", "value"]]
"""`trainer.gradient_clip_val` and `trainer.gradient_clip_algorithm` of a trial."""


def norms(gradients: Sequence[Tensor]) -> Tensor:
    """Return each trial's gradient norm over all parameters, (trials,).

    Args:
        gradients: each (trials, elements).
    """
    trials = len(gradients[0])
    # One row would be summed in another order than several are, with other last bits.
    gradients = [torch.cat([g, g]) for g in gradients] if trials == 1 else gradients
    each = [torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients]
    return torch.linalg.vector_norm(torch.stack(each), dim=0)[:trials]


class Clipping:
    """Clips in place, as `clip_grad_norm_` or `clip_grad_value_` of `torch.nn.utils` do for a single trial.

    By norm is Pascanu, Mikolov and Bengio 2013, algorithm 1. A trial without a threshold, or one whose
    gradient is not a number, changes no other trial's gradient.

    Args:
        thresholds: one a trial.

    Attributes:
        any: whether some trial has a threshold.
    """

    def __init__(self, thresholds: Sequence[Threshold]) -> None:
        self._by_norm = [value if value and kind == "norm" else math.inf for value, kind in thresholds]
        self._by_value = [value if value and kind == "value" else math.inf for value, kind in thresholds]
        self.any = min(*self._by_norm, *self._by_value) < math.inf
        # On a GPU each would be waited for.
        self._columns: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> None:
        """Clip gradients, each (trials, elements)."""
        if min(self._by_norm) < math.inf:
            norm = norms(gradients).unsqueeze(1)
            limit = self._column("norm", self._by_norm, norm)
            factor = torch.where(limit.isinf(), 1.0, (limit / (norm + 1e-6)).clamp(max=1.0))
            for gradient in gradients:
                gradient.mul_(factor.to(gradient.dtype))
        if min(self._by_value) < math.inf:
            for gradient in gradients:
                limit = self._column("value", self._by_value, gradient)
                gradient.copy_(torch.maximum(torch.minimum(gradient, limit), -limit))

    def _column(self, kind: str, limits: Sequence[float], like: Tensor) -> Tensor:
        key = kind, like.dtype, like.device
        if key not in self._columns:
            self._columns[key] = torch.tensor(limits, dtype=like.dtype, device=like.device).unsqueeze(1)
        return self._columns[key]
