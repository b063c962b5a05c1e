"""A sequence in, one answer a step, by a readout in closed form."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.cores import Core, Stack
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.many_to_many import ManyToMany


class RidgeReadout(ManyToMany):
    """One class or value a step from a fixed core by ridge regression in closed form: the echo state network.

        y_t = V h_t + c,  (c, V)ᵀ = (XᵀX / n + β I')⁻¹ XᵀY / n

    minimises the mean squared error + β ‖V‖² (Jaeger 2001; Lukoševičius 2012, eq. 9, where β stands beside
    the sum over all steps): the n rows of X are (1, h_tᵀ), those of Y the targets, a class as its one-hot
    vector, of all steps that count; I' is the identity but for a 0 at c.

    Data of any size streams: XᵀX and XᵀY are summed in float64, and after each training batch the readout is
    the regression on all batches so far. To solve costs little beside running the core. One epoch says it
    all; optimiser and clipping have nothing to do.

    The loss is the mean squared error, also of classes.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a `Core` class without anything to train, such as layers of `EchoState`.
        washout: first steps of a sequence, which are counted in no loss or metric; each must have more.
        ridge: β, above 0.
    """

    alone = "a readout in closed form is no step of an optimiser"

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        washout: int = 0,
        ridge: float = 1e-8,
    ) -> None:
        super().__init__(task, core, None, washout)
        if self.task.targets == "bits":
            raise UserError("RidgeReadout takes data with classes or values; this data has bits.")
        if trained := sum(parameter.numel() for parameter in self.core.parameters()):
            raise UserError(
                f"RidgeReadout trains the readout alone, but this core has {trained:,} parameters to train;"
                " use --model.core.cell EchoState."
            )
        if not ridge > 0:
            raise UserError(f"RidgeReadout: ridge is {ridge}; it must be above 0.")
        self.ridge = ridge
        self.save_hyperparameters({"ridge": ridge}, logger=False)
        del self.hparams["embedding_size"]
        width = 1 + self.core.output_size
        # Not buffers, which take on the precision of the model.
        self._products = torch.zeros(width, width + self.task.target_size, dtype=torch.float64)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Solve for the readout with this batch added to those before it; log its loss then."""
        with torch.no_grad():
            states, _ = self.core(self.features(batch.inputs), None, batch.lengths)
            self._add(*self.counted(batch, states))
            self._solve()
            means, _ = self.loss_and_metrics(*self.counted(batch, self.head(states)))
        self.log_dict(self.reported("train", means))
        self.log("loss", means["loss"], prog_bar=True, logger=False)

    def loss_and_metrics(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See `Topology.loss_and_metrics`; of classes the loss is the squared error of one-hot vectors."""
        means, count = super().loss_and_metrics(outputs, targets, lengths)
        if self.task.targets == "classes":
            error = (outputs - self._wanted(targets)).square().mean(-1)
            means["loss"] = error[targets != IGNORED].mean()
        return means, count

    def configure_gradient_clipping(self, *args: Any, **options: Any) -> None:
        """Do nothing: there are no gradients."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the sums, so that a resumed run goes on with them."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["readout_products"] = self._products

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the sums up again."""
        super().on_load_checkpoint(checkpoint)
        self._products = checkpoint["readout_products"]

    def _add(self, states: Tensor, targets: Tensor, lengths: Tensor | None) -> None:
        """Add [1, H]ᵀ [1, H, Y] of all steps that count; its first entry is their number."""
        valid = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        if lengths is not None:
            valid &= torch.arange(len(states), device=states.device).unsqueeze(1) < lengths
        if self.task.targets == "classes":
            valid &= targets != IGNORED
        rows = states[valid].double()
        rows = torch.cat([torch.ones_like(rows[:, :1]), rows], 1)
        products = rows.mT @ torch.cat([rows, self._wanted(targets)[valid].double()], 1)
        total = self.trainer.strategy.reduce(products, reduce_op="sum")
        self._products = self._products.to(products.device) + total

    def _solve(self) -> None:
        means = self._products / self._products[0, 0]
        width = len(means)
        penalty = torch.full((width,), self.ridge, dtype=means.dtype, device=means.device)
        penalty[0] = 0.0
        solution = torch.linalg.solve(means[:, :width] + penalty.diag(), means[:, width:])
        self.head.bias.copy_(solution[0])
        self.head.weight.copy_(solution[1:].mT)

    def _wanted(self, targets: Tensor) -> Tensor:
        """Return what the outputs should be."""
        if self.task.targets == "values":
            return targets
        return functional.one_hot(targets.clamp(min=0), self.task.target_size).to(self.head.weight.dtype)
