"""Dropout of sequences: anew at each step, or the same at all of them.

Dropping anew at each step is noise that a recurrence adds up; one mask for all steps is a draw of the weights
(Gal & Ghahramani 2016, arXiv:1512.05287, eq. 8).
"""

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn
from torch.func import functional_call

from lit_seq.cells import Cell


class StepDropout(nn.Dropout):
    """`torch.nn.Dropout` of something that goes along time.

    In a pack a trial's sequences may be padded further than they would be alone. Knowing where time is, its
    random numbers are those of its own steps.

    Args:
        p: probability of zeroing an element.
        time: which dimension is time: 0, or 1 behind the batch.
        steps: whose time it is: that of a batch's inputs or of its targets.
    """

    def __init__(
        self, p: float, time: Literal[0, 1] = 0, steps: Literal["inputs", "targets"] = "inputs"
    ) -> None:
        super().__init__(p)
        self.time, self.steps = time, steps


class VariationalDropout(nn.Module):
    """Dropout of features with one mask a sequence: x_t ↦ x_t ⊙ z, z_i ∈ {0, 1/(1-p)}.

    Args:
        p: probability of zeroing a feature.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        # A module of torch's own: packing gives each stacked trial its rate and random numbers there.
        self.channels = nn.Dropout1d(p)

    def forward(self, sequence: Tensor) -> Tensor:
        """Drop features of (time, batch, features)."""
        return self.channels(sequence.permute(1, 2, 0)).permute(2, 0, 1)


class RecurrentDropout(nn.Module):
    """Dropout of h_{t-1} where it meets the recurrent matrix: U h_{t-1} ↦ U (h_{t-1} ⊙ z).

    z is one for all steps and for the sequences of a batch, so it acts on the columns of U, and any scan of
    the cell stays as fast as it is. What an LSTM or a GRU keeps past U is not dropped, as in the paper.

    Args:
        p: probability that a unit is dropped.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.units = nn.Dropout(p)

    def check(self, cell: Cell[Any]) -> None:
        """Refuse a cell without a recurrent matrix, unless nothing is dropped.

        Raises:
            ValueError: `cell` has no parameter `weight_recurrent`.
        """
        if self.units.p and "weight_recurrent" not in cell._parameters:
            raise ValueError(
                f"recurrent_dropout is {self.units.p}, but {type(cell).__name__} has no single matrix"
                " weight_recurrent to drop units from; it must be 0."
            )

    def forward(
        self, scan: Callable[..., tuple[Tensor, Any]], cell: Cell[Any], *arguments: Any, **options: Any
    ) -> tuple[Tensor, Any]:
        """Return scan(cell, *arguments, **options) with the cell's U masked."""
        weight: Any = cell._parameters.get("weight_recurrent")
        if weight is None:
            return scan(cell, *arguments, **options)
        ones = weight.new_ones(weight.shape[1])
        mask = self.units(ones)
        # Dropout that drops nothing, of one trial or of all stacked ones, returns what it is given.
        if mask is ones:
            return scan(cell, *arguments, **options)
        masked = {"cell.weight_recurrent": weight * mask}
        return functional_call(_Scan(scan, cell), masked, arguments, options)


class _Scan(nn.Module):
    """A scan as the module that `torch.func.functional_call` needs."""

    def __init__(self, scan: Callable[..., tuple[Tensor, Any]], cell: Cell[Any]) -> None:
        super().__init__()
        self.scan, self.cell = scan, cell

    def forward(self, *arguments: Any, **options: Any) -> tuple[Tensor, Any]:
        return self.scan(self.cell, *arguments, **options)
