"""The simple recurrent network."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import HiddenState

Activation = Literal["tanh", "relu", "sigmoid", "linear"]


class Elman(AffineCell[HiddenState]):
    """Elman's simple recurrent network (Elman 1990, Cognitive Science 14).

        h_t = φ(W x_t + b + U h_{t-1})

    With `activation="relu"` and `recurrent_init="identity"` it is the IRNN (Le, Jaitly & Hinton 2015).

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        activation: φ.
        initialisation: see `AffineCell`.
    """

    state_type = HiddenState
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, activation: Activation = "tanh", **initialisation: Any
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        self.activation: Activation = activation
        self.reset_parameters()

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equation above."""
        return HiddenState(activate(projected + F.linear(state.h, self.weight_recurrent), self.activation))


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Return φ(x)."""
    match activation:
        case "tanh":
            return torch.tanh(x)
        case "relu":
            return torch.relu(x)
        case "sigmoid":
            return torch.sigmoid(x)
        case "linear":
            return x
