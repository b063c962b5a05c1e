"""Elman's recurrence as one operator."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.elman import Elman
from lit_seq.scan.activations import ACTIVATIONS, close
from lit_seq.scan.operator import Loops, apply_stacked, multiply_add, of_or_zero, recurrent_gradient, steps


def _forward(projected: Tensor, weight: Tensor, h: Tensor, activation: str) -> Tensor:
    fused, transposed, phi_ = multiply_add(weight), weight.mT, ACTIVATIONS[activation].in_place
    outputs = projected.new_empty(projected.shape)
    for x, y in zip(steps(projected), steps(outputs), strict=True):
        h = phi_(fused(x, h, transposed, out=y))
    return outputs


def _backward(
    weight: Tensor, outputs: Tensor, grad_outputs: Tensor, dh: Tensor, activation: str
) -> tuple[Tensor, Tensor]:
    fused, phi_backward = multiply_add(weight), ACTIVATIONS[activation].backward
    deltas, dh = outputs.new_empty(outputs.shape), dh.clone()
    for dy, y, delta in zip(*(reversed(steps(x)) for x in (grad_outputs, outputs, deltas)), strict=True):
        phi_backward(dh.add_(dy), y, grad_input=delta)
        fused(dh, delta, weight, beta=0, out=dh)
    return deltas, dh


LOOPS = Loops(_forward, _backward)


def run(
    cell: Elman, inputs: Tensor, state: HiddenState, valid: Tensor | None, loops: Loops = LOOPS
) -> tuple[Tensor, HiddenState]:
    """Scan from the first step to the last; `valid` (time, batch, 1) is False at the padding behind it."""
    projected = close(cell.project_padded(inputs, valid), valid, cell.activation)
    outputs, h = _ElmanOperator.apply(projected, cell.weight_recurrent, state.h, cell.activation, loops)
    return outputs, HiddenState(h)


class _ElmanOperator(torch.autograd.Function):
    """The equation of `Elman` over all steps.

    Takes W x + b (time, batch, hidden), U, h_0, the name of φ and loops; returns h (time, batch, hidden) and
    h_T.
    """

    @staticmethod
    def forward(
        projected: Tensor, weight: Tensor, h: Tensor, activation: str, loops: Loops
    ) -> tuple[Tensor, Tensor]:
        outputs = loops.forward(projected, weight, h, activation)
        return outputs, outputs.select(-3, -1).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, weight, h_0, ctx.activation, ctx.loops = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, h_0, output[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None) -> tuple[Tensor | None, ...]:
        weight, h_0, outputs = ctx.saved_tensors
        gradients = of_or_zero(grad_outputs, outputs), of_or_zero(grad_h, h_0)
        deltas, dh = ctx.loops.backward(weight, outputs, *gradients, ctx.activation)
        return deltas, recurrent_gradient(deltas, h_0, outputs), dh, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_ElmanOperator, info.batch_size, in_dims, arguments)
