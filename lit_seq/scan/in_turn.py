"""Stacked LSTMs through torch's own kernel: trials in turn, one on each core."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lit_seq.cells.lstm import LSTM, LSTMState
from lit_seq.scan.library import lstm, tensors
from lit_seq.scan.operator import apply_stacked


def run(cell: LSTM, inputs: Tensor, state: LSTMState, valid: Tensor | None) -> tuple[Tensor, LSTMState]:
    """Scan the trials of a vmap from the first step to the last, in padding keeping c as it is.

    Args:
        cell: a cell for which `lit_seq.scan.library.reason` has one.
        inputs: (time, batch, input).
        state: state before the first step.
        valid: (time, batch, 1) bool, False at padding, which comes last; None without padding.
    """
    inputs, *weights = tensors(cell, inputs, valid)
    given = inputs, *state, *weights
    # Without a mapped argument the rule for vmap is not asked.
    mapped = any(map(torch._C._functorch.is_batchedtensor, given))
    outputs, h, c = (_Mapped.apply if mapped else lstm)(*given)
    return outputs, LSTMState(h, c)


class _Mapped(torch.autograd.Function):
    """`lstm` with the rule for vmap that `torch.lstm` has not."""

    @staticmethod
    def forward(*tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return lstm(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> Any:
        return apply_stacked(_Stacked, info.batch_size, in_dims, tensors)


class _Stacked(torch.autograd.Function):
    """`lstm` of stacked trials, each with a graph of its own, so that backward too has a core a trial."""

    @staticmethod
    def forward(ctx: Any, *stacked: Tensor) -> tuple[Tensor, ...]:
        needed = ctx.needs_input_grad

        def one(tensors: tuple[Tensor, ...]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
            leaves = [t.detach().requires_grad_(n) for t, n in zip(tensors, needed, strict=True)]
            with torch.set_grad_enabled(any(needed)):
                return leaves, lstm(*leaves)

        ctx.trials = _on_all_cores(one, zip(*(tensor.unbind(0) for tensor in stacked), strict=True))
        ctx.set_materialize_grads(False)
        return tuple(map(torch.stack, zip(*(outputs for _, outputs in ctx.trials), strict=True)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        given = [index for index, gradient in enumerate(gradients) if gradient is not None]
        needed = [index for index, need in enumerate(ctx.needs_input_grad) if need]

        def one(trial: tuple[Any, ...]) -> tuple[Tensor, ...]:
            (leaves, outputs), *gradient = trial
            return torch.autograd.grad(
                [outputs[index] for index in given], [leaves[index] for index in needed], gradient
            )

        trials = zip(ctx.trials, *(gradients[index].unbind(0) for index in given), strict=True)  # type: ignore[union-attr]
        columns = map(torch.stack, zip(*_on_all_cores(one, trials), strict=True))
        ctx.trials = None
        found = dict(zip(needed, columns, strict=True))
        return tuple(found.get(index) for index in range(len(ctx.needs_input_grad)))


def _on_all_cores(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return list(_pool(torch.get_num_threads()).map(function, items))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # Each has one thread of OpenMP's: a trial has too little work for two.
    return ThreadPoolExecutor(threads, "lit-seq-lstm", torch.set_num_threads, (1,))
