"""The GRU's recurrence as one operator."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.gru import GRU
from lit_seq.scan.operator import (
    Loops,
    apply_stacked,
    multiply_add,
    of_or_zero,
    recurrent_gradient,
    sigmoid_backward,
    steps,
    tanh_,
    tanh_backward,
)


def _forward(projected: Tensor, weight: Tensor, h: Tensor, before: bool) -> tuple[Tensor, ...]:
    fused, hidden = multiply_add(weight), h.shape[-1]
    weight_rz, weight_n = (w.mT for w in weight.split((2 * hidden, hidden), -2))
    kept_rz = projected.new_empty(*projected.shape[:-1], 2 * hidden)
    kept_n, kept_u, outputs = (projected.new_empty(*projected.shape[:-1], hidden) for _ in range(3))
    x_rz, x_n = map(steps, projected.split((2 * hidden, hidden), -1))
    r, z = map(steps, kept_rz.chunk(2, -1))
    rz, n, u, y = map(steps, (kept_rz, kept_n, kept_u, outputs))
    for t in range(len(y)):
        fused(x_rz[t], h, weight_rz, out=rz[t]).sigmoid_()
        if before:
            tanh_(fused(x_n[t], torch.mul(r[t], h, out=u[t]), weight_n, out=n[t]))
        else:
            fused(u[t], h, weight_n, beta=0, out=u[t])
            tanh_(torch.addcmul(x_n[t], r[t], u[t], out=n[t]))
        h = torch.lerp(n[t], h, z[t], out=y[t])
    return outputs, kept_rz, kept_n, kept_u


def _backward(
    weight: Tensor,
    h_0: Tensor,
    outputs: Tensor,
    kept: tuple[Tensor, ...],
    grad_outputs: Tensor,
    grad_h: Tensor,
    before: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    kept_rz, kept_n, kept_u = kept
    fused, hidden = multiply_add(weight), h_0.shape[-1]
    weight_rz, weight_n = weight.split((2 * hidden, hidden), -2)
    deltas = outputs.new_empty(*outputs.shape[:-1], 3 * hidden)
    deltas_rz, deltas_n = deltas.split((2 * hidden, hidden), -1)
    deltas_u = deltas_n if before else outputs.new_empty(outputs.shape)
    r, z = map(steps, kept_rz.chunk(2, -1))
    n, u, dy = map(steps, (kept_n, kept_u, grad_outputs))
    dr, dz, dn = map(steps, deltas.chunk(3, -1))
    drz, du = map(steps, (deltas_rz, deltas_u))
    earlier = (h_0, *steps(outputs))
    dh, scratch = grad_h.clone(), torch.empty_like(h_0)
    for t in reversed(range(len(dy))):
        dh.add_(dy[t])
        sigmoid_backward(torch.sub(earlier[t], n[t], out=scratch).mul_(dh), z[t], grad_input=dz[t])
        torch.mul(dh, z[t], out=scratch)
        tanh_backward(dh.sub_(scratch), n[t], grad_input=dn[t])
        if before:
            through = fused(dh, dn[t], weight_n, beta=0)
            sigmoid_backward(torch.mul(through, earlier[t], out=dh), r[t], grad_input=dr[t])
            scratch.addcmul_(through, r[t])
        else:
            sigmoid_backward(torch.mul(dn[t], u[t], out=dh), r[t], grad_input=dr[t])
            fused(scratch, torch.mul(dn[t], r[t], out=du[t]), weight_n, out=scratch)
        fused(scratch, drz[t], weight_rz, out=dh)
    return deltas, deltas_u, dh


LOOPS = Loops(_forward, _backward)


def run(
    cell: GRU, inputs: Tensor, state: HiddenState, valid: Tensor | None, loops: Loops = LOOPS
) -> tuple[Tensor, HiddenState]:
    """Scan from the first step to the last; the padding behind it changes nothing."""
    outputs, h, *_ = _GRUOperator.apply(
        cell.project_padded(inputs, valid), cell.weight_recurrent, state.h, cell.reset == "before", loops
    )
    return outputs, HiddenState(h)


class _GRUOperator(torch.autograd.Function):
    """The equations of `GRU` over all steps, with u_t = U_n h_{t-1}, or r_t ⊙ h_{t-1} where r acts before.

    Takes W x + b (time, batch, 3·hidden), U, h_0, whether r acts before the product, and loops; returns h
    (time, batch, hidden), h_T, and r and z side by side, n and u for the backward pass.
    """

    @staticmethod
    def forward(
        projected: Tensor, weight: Tensor, h: Tensor, before: bool, loops: Loops
    ) -> tuple[Tensor, ...]:
        outputs, *kept = loops.forward(projected, weight, h, before)
        return outputs, outputs.select(-3, -1).clone(), *kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, weight, h_0, ctx.before, ctx.loops = inputs
        outputs, _, *kept = output
        ctx.mark_non_differentiable(*kept)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, h_0, outputs, *kept)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        weight, h_0, outputs, *kept = ctx.saved_tensors
        gradients = of_or_zero(grad_outputs, outputs), of_or_zero(grad_h, h_0)
        deltas, deltas_u, dh = ctx.loops.backward(weight, h_0, outputs, kept, *gradients, ctx.before)
        deltas_rz, deltas_n = deltas.split((2 * h_0.shape[-1], h_0.shape[-1]), -1)
        of_rz = recurrent_gradient(deltas_rz, h_0, outputs)
        if ctx.before:
            of_n = deltas_n.flatten(-3, -2).mT @ kept[-1].flatten(-3, -2)
        else:
            of_n = recurrent_gradient(deltas_u, h_0, outputs)
        return deltas, torch.cat([of_rz, of_n], -2), dh, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_GRUOperator, info.batch_size, in_dims, arguments)
