"""Means over an epoch, of one trial or of stacked ones."""

import torch
from torch import Tensor


class EpochMeans:
    """Adds up what batches say, each weighted by how many targets it counted.

    Sums are float64, so that neither the order of batches nor the number of trials shows in a metric.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Tensor] = {}
        self.targets = torch.tensor(0)

    def add(self, means: dict[str, Tensor], targets: Tensor) -> None:
        """Add a batch.

        Args:
            means: metric to its mean over the batch, of the shape of `targets` and any further dimensions.
            targets: how many targets the means are over.
        """
        totals = {name: mean.detach().double() * _broadcast(targets, mean) for name, mean in means.items()}
        self.include(totals, targets)

    def include(self, totals: dict[str, Tensor], targets: Tensor) -> None:
        """Add what others have added up."""
        for name, total in totals.items():
            self.totals[name] = self.totals[name] + total if name in self.totals else total
        self.targets = self.targets.to(targets.device) + targets

    def means(self) -> dict[str, Tensor]:
        """Return the mean of each metric; nothing if no batch came."""
        return {name: total / _broadcast(self.targets, total) for name, total in self.totals.items()}


def _broadcast(targets: Tensor, mean: Tensor) -> Tensor:
    return targets.reshape(targets.shape + (1,) * (mean.dim() - targets.dim()))
