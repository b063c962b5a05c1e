"""Elementwise functions in place, with their derivatives by what they give."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_seq.scan.operator import sigmoid_backward, tanh_, tanh_backward


class Activation(NamedTuple):
    """φ as the operators of `Elman` and `Leaky` need it.

    Attributes:
        in_place: x ↦ φ(x), in place.
        backward: (gradient, φ(x), grad_input=…) ↦ gradient ⊙ φ'(x).
        closed: a pre-activation for the padding, at which a recurrence cannot grow; None where there is none.
    """

    in_place: Callable[[Tensor], Tensor]
    backward: Callable[..., Tensor]
    closed: float | None


def _relu_backward(gradient: Tensor, output: Tensor, grad_input: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=grad_input)


def _leaky_relu_backward(gradient: Tensor, output: Tensor, grad_input: Tensor) -> Tensor:
    backward = torch.ops.aten.leaky_relu_backward.grad_input
    return backward(gradient, output, 0.01, self_is_result=True, grad_input=grad_input)


def _elu_backward(gradient: Tensor, output: Tensor, grad_input: Tensor) -> Tensor:
    backward = torch.ops.aten.elu_backward.grad_input
    return backward(gradient, 1, 1, 1, is_result=True, self_or_result=output, grad_input=grad_input)


def _softplus_backward(gradient: Tensor, output: Tensor, grad_input: Tensor) -> Tensor:
    return torch.mul(gradient, output.neg().expm1_().neg_(), out=grad_input)


def _linear_backward(gradient: Tensor, output: Tensor, grad_input: Tensor) -> Tensor:
    return grad_input.copy_(gradient)


ACTIVATIONS = {
    "tanh": Activation(tanh_, tanh_backward, 0.0),
    "sigmoid": Activation(torch.sigmoid_, sigmoid_backward, 0.0),
    "relu": Activation(torch.relu_, _relu_backward, -torch.inf),
    "elu": Activation(F.elu_, _elu_backward, -torch.inf),
    "softplus": Activation(lambda x: torch.ops.aten.softplus.out(x, out=x), _softplus_backward, -torch.inf),
    "leaky_relu": Activation(F.leaky_relu_, _leaky_relu_backward, None),
    "linear": Activation(lambda x: x, _linear_backward, None),
}
"""What the fused operators have; any other φ takes the loop."""


def close(projected: Tensor, valid: Tensor | None, activation: str) -> Tensor:
    """Return pre-activations (time, batch, hidden) closed where `valid` (time, batch, 1) is False."""
    if valid is None:
        return projected
    closed = ACTIVATIONS[activation].closed
    assert closed is not None, f"with padding {activation} takes the loop"
    # ReLU could overflow on the way through the padding, and 0 · ∞ spoil the gradient.
    return torch.where(valid, projected, closed)
