"""What the states of a hidden Markov chain emit."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

DEVIATION_FLOOR = 0.01
"""Smallest deviation of what a Gaussian leaves open, where the data's is about 1: without one, a state that
explains a single step exactly makes the likelihood infinite."""


class Categorical(nn.Module):
    """b_k(x) = softmax(W_k)_x: one of a number of symbols.

    Attributes:
        logits: W, (states, symbols), drawn from N(0, 1).

    Args:
        states: number of states.
        symbols: number of symbols.
    """

    def __init__(self, states: int, symbols: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.randn(states, symbols))

    def probabilities(self) -> Tensor:
        """Return b, (states, symbols)."""
        return self.logits.softmax(-1)

    def log_probabilities(self, symbols: Tensor) -> Tensor:
        """Return log b_k(x) of x, (…) int64, as (…, states)."""
        return functional.embedding(symbols, self.logits.log_softmax(-1).mT)


class Gaussian(nn.Module):
    """b_k(x) = N(x; μ_k, Σ_k) with a full covariance.

    In Cholesky form, each value follows from those before it: r_i ~ N(-Σ_{j<i} S_ij r_j, σ_i²), r = x - μ.

    Attributes:
        means: μ, (states, values), drawn from N(0, 1).
        log_deviations: log(σ - `DEVIATION_FLOOR`), (states, values), zero at first.
        shears: S, (states, values, values), of which what is below the diagonal counts; zero at first.

    Args:
        states: number of states.
        values: number of values.
    """

    def __init__(self, states: int, values: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(states, values))
        self.log_deviations = nn.Parameter(torch.zeros(states, values))
        self.shears = nn.Parameter(torch.zeros(states, values, values))

    def log_probabilities(self, values: Tensor) -> Tensor:
        """Return log b_k(x) of x, (…, values), as (…, states)."""
        residual = values.unsqueeze(-2) - self.means
        deviations = DEVIATION_FLOOR + self.log_deviations.exp()
        left = residual + torch.einsum("...kj,kij->...ki", residual, self.shears.tril(-1))
        squares = (left / deviations).square().sum(-1)
        return -0.5 * (squares + values.shape[-1] * math.log(2 * math.pi)) - deviations.log().sum(-1)

    def covariances(self) -> Tensor:
        """Return Σ, (states, values, values)."""
        deviations = DEVIATION_FLOOR + self.log_deviations.exp()
        identity = torch.eye(self.shears.shape[-1]).to(self.shears)
        factors = torch.linalg.solve_triangular(
            identity + self.shears.tril(-1), torch.diag_embed(deviations), upper=False
        )
        return factors @ factors.mT
