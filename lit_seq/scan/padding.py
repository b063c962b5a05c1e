"""Reversal and padding, taken care of outside the operators: they go forward, and padding comes last."""

import torch
from torch import Tensor


def readable(lengths: Tensor) -> bool:
    """Return whether the values of `lengths` can be looked at: it would stall a GPU, and vmap has none."""
    return lengths.device.type == "cpu" and not torch._C._functorch.is_batchedtensor(lengths)


def chosen(valid: Tensor, after: Tensor, before: Tensor) -> Tensor:
    """Return `after`, (batch, …), for the sequences where `valid` (batch,) holds, and `before` elsewhere."""
    return torch.where(valid.reshape(-1, *[1] * (after.dim() - 1)), after, before)


def turned(sequence: Tensor, lengths: Tensor | None) -> Tensor:
    """Return (time, batch, features) with each sequence turned round and its padding left behind it."""
    if lengths is None:
        return sequence.flip(0)
    step = torch.arange(sequence.shape[0], device=sequence.device).unsqueeze(1)
    source = torch.where(step < lengths, lengths - 1 - step, step)
    return sequence.gather(0, source.unsqueeze(-1).expand(sequence.shape))


def last(outputs: Tensor, lengths: Tensor) -> Tensor:
    """Return each sequence's output at its last step, (batch, hidden)."""
    index = (lengths - 1).reshape(1, -1, 1).expand(1, *outputs.shape[1:])
    return outputs.gather(0, index).squeeze(0)
