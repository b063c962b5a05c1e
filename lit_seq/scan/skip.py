"""Recurrence with edges that skip time steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.activation import activate
from lit_seq.cells.cell import HiddenState
from lit_seq.cells.skip import Skip, SkipState
from lit_seq.scan import elman, native

Recurrence = Callable[[Any, Tensor, Tensor, Tensor | None], Tensor]
"""(cell, inputs, the hidden states before them, valid) ↦ outputs."""


def run(cell: Skip, inputs: Tensor, state: SkipState, valid: Tensor | None) -> tuple[Tensor, SkipState]:
    """Scan from the first step to the last; `valid` (time, batch, 1) is False at the padding behind it."""
    recurrence = partial(_in_parallel, elman.run) if len(cell.delays) == 1 else _in_a_loop
    return _with_history(recurrence, cell, inputs, state, valid)


def run_native(
    cell: Skip, inputs: Tensor, state: SkipState, valid: Tensor | None
) -> tuple[Tensor, SkipState]:
    """Do as `run` where there is one delay and φ is tanh or ReLU, in C++."""
    return _with_history(partial(_in_parallel, native.elman.run), cell, inputs, state, valid)


def _with_history(
    recurrence: Recurrence, cell: Skip, inputs: Tensor, state: SkipState, valid: Tensor | None
) -> tuple[Tensor, SkipState]:
    """Take the hidden states before the first step out of a state, and put the last ones into one."""
    longest, time = cell.delays[-1], len(inputs)
    earlier = torch.cat(state, -1).unflatten(-1, (longest, cell.hidden_size)).movedim(-2, 0).flip(0)
    outputs = recurrence(cell, inputs, earlier, valid)
    known = torch.cat([earlier, outputs])
    if valid is None:
        latest = known[time:]
    else:
        step = torch.arange(longest, device=inputs.device).reshape(-1, 1, 1) + valid.sum(0)
        latest = known.gather(0, step.expand(earlier.shape))
    final = latest.flip(0).movedim(0, -2).flatten(-2)
    return outputs, SkipState(*final.split((cell.hidden_size, final.shape[-1] - cell.hidden_size), -1))


def _in_parallel(
    scan_elman: Callable[..., tuple[Tensor, Any]],
    cell: Skip,
    inputs: Tensor,
    earlier: Tensor,
    valid: Tensor | None,
) -> Tensor:
    """Run the d independent recurrences, of steps t, t + d, t + 2d, …, side by side."""
    (d,), (time, batch, _) = cell.delays, inputs.shape

    def side_by_side(sequence: Tensor) -> Tensor:
        return F.pad(sequence, (0, 0, 0, 0, 0, -time % d)).unflatten(0, (-1, d)).flatten(1, 2)

    masks = None if valid is None else side_by_side(valid)
    outputs, _ = scan_elman(cell, side_by_side(inputs), HiddenState(earlier.flatten(0, 1)), masks)
    return outputs.unflatten(1, (d, batch)).flatten(0, 1)[:time]


def _in_a_loop(cell: Skip, inputs: Tensor, earlier: Tensor, valid: Tensor | None) -> Tensor:
    """Do as the loop over `Skip.step` does, without moving the past along at each step."""
    known, longest = list(earlier.unbind(0)), cell.delays[-1]
    for t, projected in enumerate(cell.project_padded(inputs, valid).unbind(0)):
        before = torch.cat([known[t + longest - d] for d in cell.delays], -1)
        h = activate(projected + F.linear(before, cell.weight_recurrent), cell.activation)
        # Nothing may overflow in the padding.
        known.append(h if valid is None else torch.where(valid[t], h, 0.0))
    return torch.stack(known[longest:])
