"""The plain loop over `Cell.step`: works for any cell, and is the judge of every operator."""

from functools import partial

import torch
from torch import Tensor

from lit_seq.cells.cell import Cell, StateT
from lit_seq.scan.watch import step_of


def run(cell: Cell[StateT], inputs: Tensor, state: StateT, valid: Tensor | None) -> tuple[Tensor, StateT]:
    """Scan from the first step to the last.

    Args:
        cell: the update rule.
        inputs: (time, batch, input).
        state: state before the first step.
        valid: (time, batch, 1) bool, False at padding, which comes last and where the state stays as it is;
            None without padding.
    """
    states, step = [], step_of(cell, inputs)
    keep = None if valid is None else valid.unbind(0)
    for t, projected in enumerate(cell.project_padded(inputs, valid).unbind(0)):
        after = step(projected, state)
        if keep is not None:
            after = type(state)(*map(partial(torch.where, keep[t]), after, state))
        state = after
        states.append(state)
    if type(cell).output is Cell.output:
        return torch.stack([after[0] for after in states]), state
    return cell.output(type(state)(*map(torch.stack, zip(*states, strict=True)))), state
