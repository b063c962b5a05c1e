"""Elman's recurrence in C++."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.elman import Elman
from lit_seq.scan.library import arguments
from lit_seq.scan.native.affine import run_backward, run_forward
from lit_seq.scan.operator import apply_stacked


def run(cell: Elman, inputs: Tensor, state: HiddenState, valid: Tensor | None) -> tuple[Tensor, HiddenState]:
    """Scan from the first step to the last, with tanh or ReLU."""
    outputs, h = _ElmanOperator.apply(*arguments(cell, inputs, valid), state.h, cell.activation)
    return outputs, HiddenState(h)


class _ElmanOperator(torch.autograd.Function):
    """Takes x (time, batch, input), W, b, U, h_0 and φ's name; returns h (time, batch, hidden) and h_T.

    Trials lead as in `operator.py`.
    """

    @staticmethod
    def forward(
        x: Tensor,
        weight_input: Tensor,
        bias: Tensor | None,
        weight: Tensor,
        h: Tensor,
        activation: str,
    ) -> tuple[Tensor, Tensor]:
        outputs = x.new_empty(*x.shape[:-1], h.shape[-1])
        run_forward(f"elman_{activation}", (x, weight_input, bias, weight), h, outputs)
        return outputs, outputs.select(-3, -1).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *given, ctx.activation = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given, output[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None) -> tuple[Tensor | None, ...]:
        *given, h_0, outputs = ctx.saved_tensors
        name, needs_inputs = f"elman_{ctx.activation}", ctx.needs_input_grad[0]
        return *run_backward(name, given, h_0, outputs, (), grad_outputs, grad_h, needs_inputs), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_ElmanOperator, info.batch_size, in_dims, arguments)
