"""The LSTM's recurrence as one operator."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.lstm import LSTM, LSTMState
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


def _forward(
    projected: Tensor, weight: Tensor, peepholes: Tensor | None, h: Tensor, c: Tensor
) -> tuple[Tensor, ...]:
    fused, transposed, hidden = multiply_add(weight), weight.mT, h.shape[-1]
    gates = projected.new_empty(projected.shape)
    cells, squashed, outputs = (projected.new_empty(*projected.shape[:-1], hidden) for _ in range(3))
    x, ifgo, i_f = map(steps, (projected, gates, gates[..., : 2 * hidden]))
    i, f, g, o = map(steps, gates.chunk(4, -1))
    kept_c, tanh_c, y = map(steps, (cells, squashed, outputs))
    for t in range(len(y)):
        fused(x[t], h, transposed, out=ifgo[t])
        if peepholes is not None:
            p_i, p_f, p_o = _by_gate(peepholes)
            i[t].addcmul_(p_i, c)
            f[t].addcmul_(p_f, c)
        i_f[t].sigmoid_()
        tanh_(g[t])
        c = torch.mul(f[t], c, out=kept_c[t]).addcmul_(i[t], g[t])
        if peepholes is not None:
            o[t].addcmul_(p_o, c)
        h = torch.mul(o[t].sigmoid_(), tanh_(tanh_c[t].copy_(c)), out=y[t])
    return outputs, cells, gates, squashed


def _backward(
    weight: Tensor,
    peepholes: Tensor | None,
    c_0: Tensor,
    kept: tuple[Tensor, ...],
    grad_outputs: Tensor,
    grad_h: Tensor,
    grad_c: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    cells, gates, squashed = kept
    fused = multiply_add(weight)
    deltas = gates.new_empty(gates.shape)
    i, f, g, o = map(steps, gates.chunk(4, -1))
    di, df, dg, do = map(steps, deltas.chunk(4, -1))
    difgo, dy, tanh_c = map(steps, (deltas, grad_outputs, squashed))
    before = (c_0, *steps(cells))
    dh, dc = grad_h.clone(), grad_c.clone()
    scratch = torch.empty_like(c_0)
    for t in reversed(range(len(dy))):
        dh.add_(dy[t])
        sigmoid_backward(torch.mul(dh, tanh_c[t], out=scratch), o[t], grad_input=do[t])
        dc.add_(tanh_backward(dh.mul_(o[t]), tanh_c[t], grad_input=scratch))
        if peepholes is not None:
            p_i, p_f, p_o = _by_gate(peepholes)
            dc.addcmul_(p_o, do[t])
        sigmoid_backward(torch.mul(dc, g[t], out=scratch), i[t], grad_input=di[t])
        sigmoid_backward(torch.mul(dc, before[t], out=scratch), f[t], grad_input=df[t])
        tanh_backward(torch.mul(dc, i[t], out=scratch), g[t], grad_input=dg[t])
        dc.mul_(f[t])
        if peepholes is not None:
            dc.addcmul_(p_i, di[t]).addcmul_(p_f, df[t])
        fused(dh, difgo[t], weight, beta=0, out=dh)
    return deltas, dh, dc


LOOPS = Loops(_forward, _backward)


def run(
    cell: LSTM, inputs: Tensor, state: LSTMState, valid: Tensor | None, loops: Loops = LOOPS
) -> tuple[Tensor, LSTMState]:
    """Scan from the first step to the last, in padding keeping c as it is by i = 0 and f = 1."""
    projected = cell.project_padded(inputs, valid)
    weight: Tensor = cell.weight_recurrent
    peepholes: Tensor | None = cell.weight_peephole
    if cell.coupled:
        projected, weight = uncouple(projected, 3, -1), uncouple(weight, 3)
        peepholes = None if peepholes is None else uncouple(peepholes, 2)
    if valid is not None:
        closed = projected.new_zeros(4, cell.hidden_size)
        closed[0], closed[1] = -torch.inf, torch.inf
        projected = torch.where(valid, projected, closed.flatten())
    outputs, h, c, *_ = _LSTMOperator.apply(projected, weight, peepholes, state.h, state.c, loops)
    return outputs, LSTMState(h, c)


def uncouple(blocks: Tensor, gates: int, dim: int = 0) -> Tensor:
    """Return the blocks of a coupled LSTM as those of an LSTM that does the same.

    As 1 - σ(x) = σ(-x), its input gate has the forget gate's block with the other sign, and stands first.
    """
    f = blocks.narrow(dim, 0, blocks.shape[dim] // gates)
    return torch.cat([-f, blocks], dim)


class _LSTMOperator(torch.autograd.Function):
    """The equations of `LSTM` over all steps.

    Takes W x + b (time, batch, 4·hidden), U, the peephole weights or None, h_0, c_0 and loops; returns h
    (time, batch, hidden), h_T and c_T, and c, the gates and more for the backward pass.
    """

    @staticmethod
    def forward(
        projected: Tensor, weight: Tensor, peepholes: Tensor | None, h: Tensor, c: Tensor, loops: Loops
    ) -> tuple[Tensor, ...]:
        outputs, cells, *kept = loops.forward(projected, weight, peepholes, h, c)
        return outputs, *(of_steps.select(-3, -1).clone() for of_steps in (outputs, cells)), cells, *kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, weight, peepholes, h_0, c_0, ctx.loops = inputs
        outputs, _, _, *kept = output
        ctx.mark_non_differentiable(*kept)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, peepholes, h_0, c_0, outputs, *kept)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None, grad_c: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        weight, peepholes, h_0, c_0, outputs, *kept = ctx.saved_tensors
        gradients = of_or_zero(grad_outputs, outputs), of_or_zero(grad_h, h_0), of_or_zero(grad_c, c_0)
        deltas, dh, dc = ctx.loops.backward(weight, peepholes, c_0, kept, *gradients)
        grad_peepholes = None
        if peepholes is not None:
            cells = kept[0]
            delta_i, delta_f, _, delta_o = deltas.chunk(4, -1)
            earlier = torch.cat([c_0.unsqueeze(-3), cells.narrow(-3, 0, cells.shape[-3] - 1)], -3)
            seen = torch.cat([delta_i * earlier, delta_f * earlier, delta_o * cells], -1)
            grad_peepholes = seen.sum((-3, -2))
        return deltas, recurrent_gradient(deltas, h_0, outputs), grad_peepholes, dh, dc, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_LSTMOperator, info.batch_size, in_dims, arguments)


def _by_gate(peepholes: Tensor) -> tuple[Tensor, ...]:
    """Split (3·hidden,) into p_i, p_f and p_o, each (1, hidden)."""
    return peepholes.unsqueeze(-2).chunk(3, -1)
