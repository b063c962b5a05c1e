"""The recurrence of leaky units as one operator."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.leaky import Leaky
from lit_seq.scan.activations import ACTIVATIONS, close
from lit_seq.scan.operator import apply_stacked, multiply_add, of_or_zero, recurrent_gradient, steps


def run(cell: Leaky, inputs: Tensor, state: HiddenState, valid: Tensor | None) -> tuple[Tensor, HiddenState]:
    """Scan from the first step to the last; `valid` (time, batch, 1) is False at the padding behind it."""
    projected = close(cell.project_padded(inputs, valid), valid, cell.activation)
    arguments = projected, cell.weight_recurrent, cell.rates(), state.h, cell.activation
    outputs, h, _ = _LeakyOperator.apply(*arguments)
    return outputs, HiddenState(h)


class _LeakyOperator(torch.autograd.Function):
    """The equation of `Leaky` over all steps, with n_t = φ(W x_t + b + U h_{t-1}).

    Takes W x + b (time, batch, hidden), U, a, h_0 and the name of φ; returns h (time, batch, hidden), h_T,
    and n for the backward pass.
    """

    @staticmethod
    def forward(
        projected: Tensor, weight: Tensor, rates: Tensor, h: Tensor, activation: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        fused, transposed, phi_ = multiply_add(weight), weight.mT, ACTIVATIONS[activation].in_place
        outputs, targets = (projected.new_empty(projected.shape) for _ in range(2))
        rates = rates.unsqueeze(-2)
        for x, n, y in zip(*map(steps, (projected, targets, outputs)), strict=True):
            h = torch.lerp(h, phi_(fused(x, h, transposed, out=n)), rates, out=y)
        return outputs, h.clone(), targets

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, weight, rates, h_0, ctx.activation = inputs
        outputs, _, targets = output
        ctx.mark_non_differentiable(targets)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, rates, h_0, outputs, targets)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None, _: None
    ) -> tuple[Tensor | None, ...]:
        weight, rates, h_0, outputs, targets = ctx.saved_tensors
        fused, phi_backward = multiply_add(weight), ACTIVATIONS[ctx.activation].backward
        deltas, rates = outputs.new_empty(outputs.shape), rates.unsqueeze(-2)
        dy, n, delta = map(steps, (of_or_zero(grad_outputs, outputs), targets, deltas))
        before = (h_0, *steps(outputs))
        dh, scratch = of_or_zero(grad_h, h_0).clone(), torch.empty_like(h_0)
        moved = torch.zeros_like(h_0) if ctx.needs_input_grad[2] else None
        for t in reversed(range(len(dy))):
            dh.add_(dy[t])
            if moved is not None:
                moved.addcmul_(dh, torch.sub(n[t], before[t], out=scratch))
            dn = torch.mul(dh, rates, out=scratch)
            phi_backward(dn, n[t], grad_input=delta[t])
            fused(dh.sub_(dn), delta[t], weight, out=dh)
        grad_rates = None if moved is None else moved.sum(-2)
        return deltas, recurrent_gradient(deltas, h_0, outputs), grad_rates, dh, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_LeakyOperator, info.batch_size, in_dims, arguments)
