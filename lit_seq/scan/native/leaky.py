"""The recurrence of leaky units in C++."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.leaky import Leaky
from lit_seq.scan.library import arguments
from lit_seq.scan.native.affine import run_backward, run_forward
from lit_seq.scan.operator import apply_stacked


def run(cell: Leaky, inputs: Tensor, state: HiddenState, valid: Tensor | None) -> tuple[Tensor, HiddenState]:
    """Scan from the first step to the last, with tanh or ReLU."""
    given = arguments(cell, inputs, valid)
    outputs, h, _ = _LeakyOperator.apply(*given, state.h, cell.rates(), cell.activation)
    return outputs, HiddenState(h)


class _LeakyOperator(torch.autograd.Function):
    """Takes x (time, batch, input), W, b, U, h_0, a and φ's name; returns h (time, batch, hidden) and h_T.

    Behind them comes φ of all steps for the backward pass. Trials lead as in `operator.py`.
    """

    @staticmethod
    def forward(
        x: Tensor,
        weight_input: Tensor,
        bias: Tensor | None,
        weight: Tensor,
        h: Tensor,
        rates: Tensor,
        activation: str,
    ) -> tuple[Tensor, Tensor, Tensor]:
        outputs, targets = (x.new_empty(*x.shape[:-1], h.shape[-1]) for _ in range(2))
        given = x, weight_input, bias, weight
        run_forward(f"leaky_{activation}", given, h, outputs, rates, targets)
        return outputs, outputs.select(-3, -1).clone(), targets

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        *given, ctx.activation = inputs
        outputs, _, targets = output
        ctx.mark_non_differentiable(targets)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given, outputs, targets)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None, _: None
    ) -> tuple[Tensor | None, ...]:
        *given, h_0, rates, outputs, targets = ctx.saved_tensors
        moved = torch.empty_like(outputs) if ctx.needs_input_grad[5] else None
        name, kept, needs_inputs = f"leaky_{ctx.activation}", (rates, targets), ctx.needs_input_grad[0]
        found = run_backward(name, given, h_0, outputs, kept, grad_outputs, grad_h, needs_inputs, moved)
        return *found, None if moved is None else moved.sum((-3, -2)), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_LeakyOperator, info.batch_size, in_dims, arguments)
