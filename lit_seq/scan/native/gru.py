"""The GRU's recurrence in C++."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.gru import GRU
from lit_seq.scan.library import arguments
from lit_seq.scan.native.affine import run_backward, run_forward
from lit_seq.scan.operator import apply_stacked


def run(cell: GRU, inputs: Tensor, state: HiddenState, valid: Tensor | None) -> tuple[Tensor, HiddenState]:
    """Scan from the first step to the last."""
    outputs, h, _ = _GRUOperator.apply(*arguments(cell, inputs, valid), state.h)
    return outputs, HiddenState(h)


class _GRUOperator(torch.autograd.Function):
    """Takes x (time, batch, input), W, b, U and h_0; returns h (time, batch, hidden) and h_T.

    Behind them come n, r, z and U_n h_{t-1} side by side for the backward pass. Trials lead as in
    `operator.py`.
    """

    @staticmethod
    def forward(
        x: Tensor, weight_input: Tensor, bias: Tensor | None, weight: Tensor, h: Tensor
    ) -> tuple[Tensor, ...]:
        outputs, kept = (x.new_empty(*x.shape[:-1], n * h.shape[-1]) for n in (1, 4))
        run_forward("gru", (x, weight_input, bias, weight), h, outputs, kept)
        return outputs, outputs.select(-3, -1).clone(), kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        outputs, _, kept = output
        ctx.mark_non_differentiable(kept)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, outputs, kept)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None, _: None
    ) -> tuple[Tensor | None, ...]:
        *given, h_0, outputs, kept = ctx.saved_tensors
        return run_backward(
            "gru", given, h_0, outputs, (kept,), grad_outputs, grad_h, ctx.needs_input_grad[0]
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_GRUOperator, info.batch_size, in_dims, arguments)
