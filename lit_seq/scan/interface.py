"""Running a cell along time."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lit_seq.cells.cell import Cell, StateT
from lit_seq.scan.choice import implementation
from lit_seq.scan.padding import last, readable, turned


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
        lengths = lengths.to(inputs.device)
        valid = (torch.arange(time, device=inputs.device).unsqueeze(1) < lengths).unsqueeze(-1)
        # Replaced, not multiplied away, so that not even NaN gets out of the padding.
        inputs = torch.where(valid, inputs, 0.0)
    # Rounding adds up over time: a recurrence runs in the precision of its parameters.
    # A parametrised matrix is computed once, not at each step.
    with torch.autocast(inputs.device.type, enabled=False), parametrize.cached():
        outputs, state = _run(cell, inputs.to(state[0].dtype), state, lengths, valid, reverse)
    return outputs if valid is None else torch.where(valid, outputs, 0.0), state


def _run(
    cell: Cell[StateT],
    inputs: Tensor,
    state: StateT,
    lengths: Tensor | None,
    valid: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, StateT]:
    choice = implementation(cell, inputs, lengths)
    if reverse:
        inputs = turned(inputs, lengths)
    outputs, state = choice.run(cell, inputs, state, valid)
    if lengths is not None and choice.name != "loop":
        state = type(state)(last(outputs, lengths), *state[1:])
    return turned(outputs, lengths) if reverse else outputs, state


def _check(cell: Cell[StateT], inputs: Tensor, state: StateT | None, lengths: Tensor | None) -> None:
    name = type(cell).__name__
    if inputs.dim() != 3 or inputs.shape[2] != cell.input_size or inputs.shape[0] == 0:
        raise ValueError(
            f"{name}: the inputs have shape {tuple(inputs.shape)}; "
            f"it must be (time, batch, {cell.input_size}) with at least one step."
        )
    time, batch, _ = inputs.shape
    if state is not None:
        shapes, expected = ([tuple(part.shape) for part in s] for s in (state, cell.initial_state(batch)))
        if shapes != expected:
            raise ValueError(f"{name}: the state's parts have the shapes {shapes}; they must be {expected}.")
    check_lengths(cell, lengths, time, batch)


def check_lengths(reader: nn.Module, lengths: Tensor | None, time: int, batch: int) -> None:
    """Refuse lengths that do not fit a padded batch.

    Args:
        reader: the cell or core that the batch is for.
        lengths: steps that count in each sequence; None when all do.
        time: steps of the padded batch.
        batch: its sequences.

    Raises:
        ValueError: there is not one length a sequence, or one is not in 1 … time.
    """
    if lengths is None:
        return
    name = type(reader).__name__
    if lengths.shape != (batch,):
        raise ValueError(f"{name}: the lengths have shape {tuple(lengths.shape)}; it must be {(batch,)}.")
    if readable(lengths):
        shortest, longest = (int(x) for x in lengths.aminmax())
        if shortest < 1 or longest > time:
            raise ValueError(
                f"{name}: the lengths go from {shortest} to {longest}; "
                f"each must be from 1 to {time}, the number of steps."
            )
