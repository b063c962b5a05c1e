"""How heads choose locations of a memory (Graves, Wayne & Danihelka 2014, section 3.3)."""

import torch
from torch import Tensor

_SMALLEST = 1e-3
"""Length below which a memory row has no direction.

Without it the gradient of a cosine grows as a row that was never written on comes near to zero.
"""
_LEAST = 1e-12
"""Weight below which sharpening sees zero, in a logarithm."""


def by_content(keys: Tensor, strengths: Tensor, memory: Tensor) -> Tensor:
    """Return w^c(i) = softmax_i(β K(k, M(i))) with K the cosine (eqs. 5 and 6).

    Args:
        keys: k, (batch, heads, width).
        strengths: β > 0, (batch, heads, 1).
        memory: M, (batch, rows, width).

    Returns:
        (batch, heads, rows).
    """
    of_keys = strengths * torch.rsqrt(keys.square().sum(-1, keepdim=True) + _SMALLEST**2)
    of_rows = torch.rsqrt(memory.square().sum(-1) + _SMALLEST**2)
    return torch.softmax((of_keys * keys) @ memory.mT * of_rows.unsqueeze(-2), -1)


def by_location(weights: Tensor, shifts: Tensor, sharpness: Tensor) -> Tensor:
    """Return w̃(i) = Σ_j w(i - j) s(j), on a ring, and then w̃(i)^γ / Σ_j w̃(j)^γ (eqs. 8 and 9).

    Args:
        weights: w, (batch, heads, rows).
        shifts: s(r) … s(-r), a distribution, (batch, heads, 2r + 1).
        sharpness: γ ≥ 1, (batch, heads, 1).

    Returns:
        (batch, heads, rows).
    """
    reach, rows = shifts.shape[-1] // 2, weights.shape[-1]
    ring = torch.cat([weights[..., rows - reach :], weights, weights[..., :reach]], -1)
    shifted = (shifts.unsqueeze(-2) @ ring.unfold(-1, rows, 1)).squeeze(-2)
    return torch.softmax(sharpness * torch.log(shifted + _LEAST), -1)
