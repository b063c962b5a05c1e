"""The LSTM's recurrence in C++."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.lstm import LSTM, LSTMState
from lit_seq.scan.library import arguments
from lit_seq.scan.native.affine import run_backward, run_forward
from lit_seq.scan.operator import apply_stacked, of_or_zero


def run(cell: LSTM, inputs: Tensor, state: LSTMState, valid: Tensor | None) -> tuple[Tensor, LSTMState]:
    """Scan from the first step to the last, without peepholes, in padding keeping c as it is."""
    outputs, h, c, *_ = _LSTMOperator.apply(*arguments(cell, inputs, valid), *state)
    return outputs, LSTMState(h, c)


class _LSTMOperator(torch.autograd.Function):
    """Takes x (time, batch, input), W, b, U, h_0 and c_0; returns h (time, batch, hidden), h_T and c_T.

    Behind them come the gates and c of all steps for the backward pass. Trials lead as in `operator.py`.
    """

    @staticmethod
    def forward(
        x: Tensor, weight_input: Tensor, bias: Tensor | None, weight: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, ...]:
        outputs, cells, gates = (x.new_empty(*x.shape[:-1], n * h.shape[-1]) for n in (1, 1, 4))
        run_forward("lstm", (x, weight_input, bias, weight), h, outputs, c, gates, cells)
        return outputs, outputs.select(-3, -1).clone(), cells.select(-3, -1).clone(), gates, cells

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        outputs, _, _, *kept = output
        ctx.mark_non_differentiable(*kept)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, outputs, *kept)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_outputs: Tensor | None, grad_h: Tensor | None, grad_c: Tensor | None, *_: None
    ) -> tuple[Tensor | None, ...]:
        *given, h_0, c_0, outputs, gates, cells = ctx.saved_tensors
        kept, needs_inputs = (c_0, gates, cells), ctx.needs_input_grad[0]
        dc = of_or_zero(grad_c, c_0).clone(memory_format=torch.contiguous_format)
        found = run_backward("lstm", given, h_0, outputs, kept, grad_outputs, grad_h, needs_inputs, dc)
        return *found, dc

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        return apply_stacked(_LSTMOperator, info.batch_size, in_dims, arguments)
