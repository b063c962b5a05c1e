"""The scan of cells that forget their state: no loop at all."""

from typing import Any

from torch import Tensor

from lit_seq.cells.cell import Cell


def run(cell: Cell[Any], inputs: Tensor, state: Any, valid: Tensor | None) -> tuple[Tensor, Any]:
    """Return the projections of all steps, which are the outputs; nothing can overflow in the padding."""
    outputs = cell.project_padded(inputs, valid)
    return outputs, type(state)(outputs[-1])
