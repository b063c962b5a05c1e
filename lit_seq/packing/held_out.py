"""What held-out data says of each trial of a pack: means over batches, and scores of all answers together."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from lit_seq.packing.batches import PackBatch, of_trial
from lit_seq.packing.function import OfLightningModule, OfTopology, Step
from lit_seq.topologies.means import EpochMeans


class HeldOut:
    """One pass over held-out data.

    Args:
        function: what the trials have in common.
        trials: how many they are.
    """

    def __init__(self, function: OfTopology | OfLightningModule, trials: int) -> None:
        self._function = function
        self._means = EpochMeans()
        self._rows: list[list[Any]] = [[] for _ in range(trials)]

    def add(self, batch: PackBatch, step: Step) -> None:
        """Add what a batch says."""
        self._means.add(step.means, step.weight)
        if isinstance(self._function, OfTopology) and tree_leaves(step.answers):
            for trial, rows in enumerate(self._rows):
                answers = tree_map(lambda leaf, trial=trial: leaf[trial], step.answers)
                rows += self._function.model.rows(of_trial(batch, trial), answers)

    def metrics(self) -> dict[str, Tensor]:
        """Return what is logged, each (trials,); nothing if no batch came."""
        means = self._means.means()
        if not means:
            return {}
        if isinstance(self._function, OfTopology):
            scores = [self._function.model.scored(rows) for rows in self._rows]
            means |= {name: torch.tensor([one[name] for one in scores]) for name in scores[0]}
        return self._function.metrics("val", means)
