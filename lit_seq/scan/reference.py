"""The plain loop over `Cell.step`: works for any cell, and is the judge of every operator."""

from functools import partial

import torch
from torch import Tensor

from lit_seq.cells.cell import Cell, StateT


def run(
    cell: Cell[StateT], inputs: Tensor, state: StateT, valid: Tensor | None, reverse: bool = False
) -> tuple[Tensor, StateT]:
    """Scan as `lit_seq.scan.scan` does.

    Args:
        cell: the update rule.
        inputs: (time, batch, input).
        state: state before the first step.
        valid: (time, batch, 1) bool, False at padding, where the state stays as it is; None without padding.
        reverse: go from the last step to the first.
    """
    projected = cell.project(inputs).unbind(0)
    keep = None if valid is None else valid.unbind(0)
    outputs: list[Tensor] = [inputs] * len(projected)
    for t in reversed(range(len(projected))) if reverse else range(len(projected)):
        after = cell.step(projected[t], state)
        if keep is not None:
            after = type(state)(*map(partial(torch.where, keep[t]), after, state))
        state = after
        outputs[t] = cell.output(state)
    return torch.stack(outputs), state
