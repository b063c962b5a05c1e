"""The minGRU's recurrence, parallel over time."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.min_gru import MinGRU
from lit_seq.scan.operator import apply_stacked, sigmoid_backward, steps

_WIDE = 2048
"""Elements of a step that keep a CPU's core busy: stretches of time side by side would only add work."""


def run(cell: MinGRU, inputs: Tensor, state: HiddenState, valid: Tensor | None) -> tuple[Tensor, HiddenState]:
    """Scan from the first step to the last; nothing can overflow in the padding behind it."""
    outputs, _ = _MinGRUOperator.apply(cell.project_padded(inputs, valid), state.h)
    return outputs, HiddenState(outputs[-1])


class _MinGRUOperator(torch.autograd.Function):
    """The equations of `MinGRU` over all steps.

    Takes what `MinGRU.project` returns, (time, batch, 2·hidden), and h_0; returns h (time, batch, hidden),
    and z for the backward pass. Trials lead as in `operator.py`.
    """

    @staticmethod
    def forward(projected: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        gates, candidates = projected.chunk(2, -1)
        if not _one_by_one(h):
            z = gates.sigmoid()
            return _solve(1 - z, z * candidates, h), z
        outputs, z = (projected.new_empty(candidates.shape) for _ in range(2))
        for x, c, z_t, y in zip(*map(steps, (gates, candidates, z, outputs)), strict=True):
            h = torch.lerp(h, c, torch.sigmoid(x, out=z_t), out=y)
        return outputs, z

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        projected, h_0, outputs, z = ctx.saved_tensors
        if grad_outputs is None:
            return None, None
        candidates = projected.chunk(2, -1)[1]
        deltas = projected.new_empty(projected.shape)
        dx, dc = deltas.chunk(2, -1)
        if not _one_by_one(h_0):
            # λ_t = ∂h_t + (1 - z_{t+1}) ⊙ λ_{t+1}: the same recurrence, from the end.
            kept = 1 - z
            later = torch.cat(
                [torch.zeros_like(h_0).unsqueeze(-3), kept.narrow(-3, 1, z.shape[-3] - 1).flip(-3)], -3
            )
            dh = _solve(later, grad_outputs.flip(-3), torch.zeros_like(h_0)).flip(-3)
            earlier = torch.cat([h_0.unsqueeze(-3), outputs.narrow(-3, 0, z.shape[-3] - 1)], -3)
            torch.mul(dh, z, out=dc)
            sigmoid_backward(dh * (candidates - earlier), z, grad_input=dx)
            return deltas, (dh * kept).select(-3, 0)
        dh, scratch = torch.zeros_like(h_0), torch.empty_like(h_0)
        before = (h_0, *steps(outputs))
        dys, cs, zs, dxs, dcs = map(steps, (grad_outputs, candidates, z, dx, dc))
        for t in reversed(range(len(dys))):
            dh.add_(dys[t])
            torch.sub(cs[t], before[t], out=scratch).mul_(dh)
            sigmoid_backward(scratch, zs[t], grad_input=dxs[t])
            dh.sub_(torch.mul(dh, zs[t], out=dcs[t]))
        return deltas, dh

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_MinGRUOperator, info.batch_size, in_dims, arguments)


def _one_by_one(h: Tensor) -> bool:
    return h.device.type == "cpu" and h.numel() >= _WIDE


def _solve(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Return h_1 … h_T, by an associative scan of two levels.

    About √T stretches of time go side by side, each from zero; their last states in turn give each its start
    s; and then h_t = h'_t + (a_t ⊙ … ⊙ a_1) ⊙ s. That is twice the work, in 2√T steps instead of T.
    """
    time = a.shape[-3]
    length = -(-time // math.isqrt(time))
    padding = (0, 0, 0, 0, 0, -time % length)
    a, b = (F.pad(x, padding).unflatten(-3, (-1, length)) for x in (a, b))
    within, decay = _step_by_step(a, b, torch.zeros_like(b.select(-3, 0))), a.cumprod(-3)
    ends = _step_by_step(decay.select(-3, -1), within.select(-3, -1), h)
    starts = torch.cat([h.unsqueeze(-3), ends.narrow(-3, 0, ends.shape[-3] - 1)], -3)
    return within.addcmul_(decay, starts.unsqueeze(-3)).flatten(-4, -3).narrow(-3, 0, time)


def _step_by_step(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    outputs = torch.empty_like(b)
    for a_t, b_t, h_t in zip(*map(steps, (a, b, outputs)), strict=True):
        h = torch.addcmul(b_t, a_t, h, out=h_t)
    return outputs
