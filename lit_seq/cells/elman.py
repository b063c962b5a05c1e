"""The simple recurrent network."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import HiddenState


class Elman(AffineCell[HiddenState]):
    """Elman's simple recurrent network, the yardstick, with any elementwise φ (Elman 1990).

        h_t = φ(W x_t + b + U h_{t-1})

    With `activation="relu"` and `recurrent_init="identity"` it is the IRNN (Le, Jaitly & Hinton 2015).

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        activation: φ: "linear", or a function of `torch` or `torch.nn.functional` from one number to one,
            such as "tanh", "relu", "sigmoid", "leaky_relu", "elu" or "softplus".
        initialisation: see `AffineCell`.

    Raises:
        ValueError: φ is no such function.
    """

    state_type = HiddenState
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, activation: Activation = "tanh", **initialisation: Any
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        self.activation = checked(type(self).__name__, activation)
        self.reset_parameters()

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equation above."""
        return HiddenState(activate(projected + F.linear(state.h, self.weight_recurrent), self.activation))
