"""What the operators share on Python's side: calls for gates that are affine."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_seq.scan.library import Arguments
from lit_seq.scan.native.call import call
from lit_seq.scan.operator import of_or_zero


def run_forward(name: str, given: Arguments, h_0: Tensor, outputs: Tensor, *kept: Tensor) -> None:
    """Fill `outputs` (h_1 … h_T) and `kept`, what the cell's C++ structure has besides."""
    call(f"{name}_forward", outputs, *given, h_0, outputs, *kept)


def run_backward(
    name: str,
    given: Sequence[Any],
    h_0: Tensor,
    outputs: Tensor,
    kept: tuple[Tensor, ...],
    grad_outputs: Tensor | None,
    grad_h: Tensor | None,
    needs_inputs: bool,
    *carried: Tensor | None,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x, W, b, U and h_0.

    Args:
        name: the cell's.
        given: x, W, b and U.
        h_0: state before the first step.
        outputs: h_1 … h_T.
        kept: what the forward pass kept.
        grad_outputs: gradient of the outputs; None where nothing depends on them.
        grad_h: of the last h, likewise.
        needs_inputs: whether anybody asks for the gradient of x.
        carried: what else the C++ structure has: gradients of the other parts of the last state, which
            become those of the first, and what is filled besides.
    """
    x, weight_input, bias, weight = given
    grad_x = x.new_empty(x.shape) if needs_inputs else None
    grad_outputs = of_or_zero(grad_outputs, outputs)
    grad_h = of_or_zero(grad_h, h_0).clone(memory_format=torch.contiguous_format)
    grad_weight_input, grad_weight = (w.new_empty(w.shape) for w in (weight_input, weight))
    grad_bias = weight.new_empty(weight.shape[:-1])
    gradients = (grad_outputs, grad_h, grad_x, grad_weight_input, grad_bias, grad_weight)
    call(f"{name}_backward", outputs, *given, h_0, outputs, *kept, *gradients, *carried)
    return grad_x, grad_weight_input, None if bias is None else grad_bias, grad_weight, grad_h
