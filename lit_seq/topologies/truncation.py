"""Truncated backpropagation through time of sequences that come whole."""

from functools import partial

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from lit_seq.cells.batch_norm import BatchNorm
from lit_seq.cores import Core, CoreState
from lit_seq.errors import UserError
from lit_seq.scan import check_lengths
from lit_seq.scan.padding import chosen


def check_truncation(steps: int | None, core: Core, omega: float | None) -> None:
    """Refuse what gradients cannot be truncated after, in, or with.

    Raises:
        UserError: `steps` is below 1, the core is not causal or normalises batches, or Ω is asked for.
    """
    if steps is None:
        return
    if steps < 1:
        raise UserError(f"truncation is {steps}; it must be null, or at least 1.")
    if not core.causal:
        raise UserError("truncation is for a core that reads from left to right; here it must be null.")
    if any(isinstance(module, BatchNorm) for module in core.modules()):
        raise UserError(
            "truncation has no statistics of whole sequences for batch normalisation; it must be null."
        )
    if omega is not None:
        raise UserError(
            "truncation leaves omega no gradients along a whole sequence; one of them must be null."
        )


def run_truncated(
    core: Core, inputs: Tensor, state: CoreState | None, lengths: Tensor | None, steps: int
) -> tuple[Tensor, CoreState]:
    """Run a causal core along time, with gradients that stop at each multiple of `steps`.

    Outputs and final state are those of the core; the gradient of the loss at a step reaches back to the
    beginning of its stretch of time, at most `steps` - 1 steps (Williams & Peng 1990, BPTT(h; h'), h' = h).
    A dropout mask for all steps of a sequence is drawn for each stretch.

    Args:
        core: the core.
        inputs: (time, batch, input).
        state: state before the first step; None for the core's initial state.
        lengths: steps that count in each sequence, (batch,) int64; None when all do.
        steps: U, steps between two places where gradients stop.
    """
    time, batch, _ = inputs.shape
    check_lengths(core, lengths, time, batch)
    state = core.initial_state(batch) if state is None else state
    left = None if lengths is None else lengths.to(inputs.device)
    outputs: list[Tensor] = []
    for stretch in inputs.split(steps):
        before = tree_map(torch.detach, state) if outputs else state
        if left is None:
            output, state = core(stretch, before)
        else:
            # A sequence that is over takes a step of zeros, of which nothing is kept.
            going = left > 0
            stretch = torch.where(going.unsqueeze(-1), stretch, 0.0)
            output, after = core(stretch, before, left.clamp(1, len(stretch)))
            output = torch.where(going.unsqueeze(-1), output, 0.0)
            state = tree_map(partial(chosen, going), after, before)
            left = left - len(stretch)
        outputs.append(output)
    return torch.cat(outputs), state
