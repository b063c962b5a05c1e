"""Running a cell along time."""

import torch
from torch import Tensor

from lit_seq.cells.cell import Cell, StateT
from lit_seq.scan import reference


def scan(
    cell: Cell[StateT],
    inputs: Tensor,
    state: StateT | None = None,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, StateT]:
    """Run `cell` along the first dimension of `inputs`.

    A sequence gives the same outputs, final state and gradients alone and in a padded batch, in either
    direction, whatever the padding holds.

    Args:
        cell: the update rule.
        inputs: (time, batch, input).
        state: state before the first step, each part (batch, hidden); None for the cell's initial state.
        lengths: steps that count in each sequence, (batch,) int64 on any device; None when all do.
        reverse: go from each sequence's last step to its first.

    Returns:
        The outputs, (time, batch, hidden), zero at padding and in the order of `inputs` in either
        direction; and the state after the last step taken.

    Raises:
        ValueError: a shape does not fit the cell, or a length is not in 1 … time.
    """
    _check(cell, inputs, state, lengths)
    time, batch, _ = inputs.shape
    if state is None:
        state = cell.initial_state(batch)
    valid = None
    if lengths is not None:
        valid = torch.arange(time, device=inputs.device).unsqueeze(1) < lengths.to(inputs.device)
        # Zero rather than multiplied away, so that not even NaN gets out of the padding.
        inputs = torch.where(valid.unsqueeze(-1), inputs, 0.0)
    outputs, state = reference.run(cell, inputs, state, valid, reverse)
    if valid is not None:
        outputs = torch.where(valid.unsqueeze(-1), outputs, 0.0)
    return outputs, state


def _check(cell: Cell[StateT], inputs: Tensor, state: StateT | None, lengths: Tensor | None) -> None:
    name = type(cell).__name__
    if inputs.dim() != 3 or inputs.shape[2] != cell.input_size or inputs.shape[0] == 0:
        raise ValueError(
            f"{name}: the inputs have shape {tuple(inputs.shape)}; "
            f"it must be (time, batch, {cell.input_size}) with at least one step."
        )
    time, batch, _ = inputs.shape
    for part in state or ():
        if part.shape != (batch, cell.hidden_size):
            raise ValueError(
                f"{name}: a part of the state has shape {tuple(part.shape)}; "
                f"it must be {(batch, cell.hidden_size)}."
            )
    if lengths is None:
        return
    if lengths.shape != (batch,):
        raise ValueError(f"{name}: the lengths have shape {tuple(lengths.shape)}; it must be {(batch,)}.")
    # Reading values would stall a GPU, and cannot be done under vmap.
    if lengths.device.type == "cpu" and not torch._C._functorch.is_batchedtensor(lengths):
        shortest, longest = (int(x) for x in lengths.aminmax())
        if shortest < 1 or longest > time:
            raise ValueError(
                f"{name}: the lengths go from {shortest} to {longest}; "
                f"each must be from 1 to {time}, the number of steps."
            )
