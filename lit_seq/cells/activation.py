"""Elementwise functions by name."""

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = str
"""φ: "linear", or a function of `torch` or `torch.nn.functional` from one number to one, such as "tanh",
"relu", "sigmoid", "leaky_relu", "elu", "softplus", "silu", "gelu" or "sin"."""


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Return φ(x), element by element."""
    return x if activation == "linear" else _function(activation)(x)


def checked(owner: str, activation: Activation) -> Activation:
    """Return the name of φ.

    Args:
        owner: class whose option it is.
        activation: what the user gave.

    Raises:
        ValueError: there is no such function, or it is not elementwise, finite and differentiable; decided by
            its values at numbers from -3 to 3.
    """
    if activation != "linear" and not _is_elementwise(_function(activation)):
        raise ValueError(
            f"{owner}: activation is {activation!r}; it must be linear or a differentiable function of torch "
            "or torch.nn.functional from one number to one, such as tanh, relu, sigmoid, leaky_relu, elu or "
            "softplus."
        )
    return activation


@cache
def _function(name: str) -> Any:
    return getattr(torch, name, None) or getattr(F, name, None)


@cache
def _is_elementwise(function: Any) -> bool:
    if not callable(function) or isinstance(function, type):
        return False
    # Zero, and fourteen more, out of order.
    points = (torch.arange(15, dtype=torch.float64, device="cpu") * 4 % 15 - 7).reshape(3, 5) * (3 / 7)
    try:
        with torch.enable_grad(), warnings.catch_warnings(action="ignore"):
            whole = function(points.requires_grad_())
            single = torch.stack([function(point.reshape(1, 1)) for point in points.detach().flatten()])
    # Too few arguments, a shape, a leaf changed in place: what such a function raises is anything.
    except Exception:
        return False
    return (
        isinstance(whole, Tensor)
        and whole.shape == points.shape
        and whole.requires_grad
        and bool(whole.isfinite().all())
        and torch.allclose(single.reshape(whole.shape), whole.detach(), rtol=1e-12, atol=1e-12)
    )
