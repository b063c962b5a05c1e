"""Forecasts that are mixtures of normal distributions, exactly."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

HALVINGS = 40
"""Of the interval in which a quantile is searched for."""


class GaussianMixture(NamedTuple):
    """p(y) = Σ_k w_k N(y; μ_k, σ_k²), value by value.

    Attributes:
        weights: w, (horizon, batch, 1, components).
        means: μ, of a shape that broadcasts to (horizon, batch, values, components), as all of these.
        deviations: σ.
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean, (horizon, batch, values)."""
        return (self.weights * self.means).sum(-1)

    def interval(self, band: float) -> tuple[Tensor, Tensor]:
        """Return the ends of the band that holds the part `band`, as much of the rest below as above."""
        return self._quantile((1 - band) / 2), self._quantile((1 + band) / 2)

    def crps(self, targets: Tensor) -> Tensor:
        """Return the continuous ranked probability score of each target (see `forecast_scores.crps`).

        Σ_k w_k A(y - μ_k, σ_k²) - ½ Σ_kl w_k w_l A(μ_k - μ_l, σ_k² + σ_l²) with A(μ, σ²) = E|N(μ, σ²)|
        (Grimit, Gneiting, Berrocal & Johnson 2006, eqs. 5 and 6).
        """
        own = _mean_modulus(targets.unsqueeze(-1) - self.means, self.deviations)
        between = _mean_modulus(
            self.means.unsqueeze(-1) - self.means.unsqueeze(-2),
            torch.hypot(self.deviations.unsqueeze(-1), self.deviations.unsqueeze(-2)),
        )
        pairs = self.weights.unsqueeze(-1) * self.weights.unsqueeze(-2)
        return (self.weights * own).sum(-1) - 0.5 * (pairs * between).sum((-2, -1))

    def _quantile(self, probability: float) -> Tensor:
        standard = torch.special.ndtri(self.means.new_tensor(probability))
        # The mixture's lies between those of its components.
        own = torch.broadcast_tensors(self.means + self.deviations * standard, self.weights)[0]
        low, high = own.amin(-1), own.amax(-1)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self._cumulative(middle) < probability
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def _cumulative(self, values: Tensor) -> Tensor:
        return (self.weights * torch.special.ndtr((values.unsqueeze(-1) - self.means) / self.deviations)).sum(
            -1
        )


def _mean_modulus(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return E|x| of x ~ N(mean, deviation²)."""
    standard = mean / deviation
    density = (-0.5 * standard.square()).exp() / math.sqrt(2 * math.pi)
    return 2 * deviation * density + mean * torch.special.erf(standard / math.sqrt(2))
