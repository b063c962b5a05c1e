"""What the operators share on Python's side: arguments and gradients of gates that are affine."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lit_seq.cells.affine import AffineCell
from lit_seq.scan.library import close
from lit_seq.scan.native.call import call
from lit_seq.scan.operator import of_or_zero

Arguments = tuple[Tensor, Tensor, Tensor | None, Tensor]
"""x (time, batch, input), W (gates·hidden, input), b (gates·hidden,) or None, U (gates·hidden, hidden)."""


def arguments(cell: AffineCell[Any], inputs: Tensor, valid: Tensor | None) -> Arguments:
    """Return a cell's arguments, its gates closed where `valid` (time, batch, 1) is False."""
    inputs, weight_input = close(cell, inputs, valid)
    return inputs, weight_input, cell.bias, cell.weight_recurrent


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
    *carried: Tensor,
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
        carried: gradients of the other parts of the last state, which become those of the first.
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
