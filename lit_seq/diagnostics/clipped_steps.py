"""How often gradients are clipped."""

from collections.abc import Iterable, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from lit_seq.data.batch import Batch
from lit_seq.diagnostics.diagnostic import Diagnostic, Findings
from lit_seq.samples import Statement
from lit_seq.topologies import Topology


class ClippedSteps(Diagnostic):
    """The share of optimiser steps at which the gradient is above the clipping threshold.

    By norm, those with ‖∂E/∂θ‖ > threshold (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, algorithm 1); by
    value, those at which an element is. A threshold that clips every step is a small learning rate in
    disguise, and one that clips none does nothing.

    Arrays: "steps" and "clipped", counts since the start of training. The number `diagnostics/clipped_steps`
    is the share of the steps since the last look.

    Costs the norm of the gradient at each step: up to 1.5 % of it (benchmarks/diagnostics.py).

    Args:
        every: optimiser steps between two looks.
    """

    def __init__(self, every: int = 500) -> None:
        super().__init__(every)
        self._counts = torch.zeros(2, dtype=torch.int64)
        self._known = self._counts

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, now and at the last look."""
        return {"counts": self._counts.cpu(), "known": self._known.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on from a checkpoint."""
        self._counts, self._known = state_dict["counts"], state_dict["known"]

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Count the step, whose gradient is not clipped yet."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self.count(gradients, trainer.gradient_clip_val, trainer.gradient_clip_algorithm or "norm")

    def count(self, gradients: Sequence[Tensor], threshold: float | None, kind: str) -> None:
        """Count a step.

        Args:
            gradients: before they are clipped.
            threshold: above which they are; None or 0 for never.
            kind: "norm" or "value".
        """
        size = torch.nn.utils.get_total_norm(list(gradients), 2.0 if kind == "norm" else torch.inf)
        clipped = size > (threshold or torch.inf)
        self._counts = self._counts.to(clipped.device) + torch.stack([torch.ones_like(clipped), clipped])

    def find(self, model: Topology, batches: Iterable[Batch]) -> Findings:
        """See the class."""
        steps, clipped = (self._counts.cpu() - self._known.cpu()).tolist()
        self._known = self._counts
        share = clipped / steps if steps else 0.0
        told = Statement(f"Of the last {steps:,} steps {share:.1%} had their gradient clipped.")
        return Findings(
            {"steps": self._counts[0], "clipped": self._counts[1]}, {"clipped_steps": share}, [told]
        )
