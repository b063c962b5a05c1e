"""A layer without recurrence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.cell import Cell, HiddenState
from lit_seq.cells.initialisation import Initialisation, initialise


class FeedForward(Cell[HiddenState]):
    """No recurrence, the baseline without memory and a controller that leaves all memory to its machine.

        h_t = φ(W x_t + b)

    Args:
        input_size: features of an input.
        hidden_size: features of the output.
        activation: φ.
        input_init: how W is drawn.
        input_std: standard deviation of W where `input_init` is "normal".
    """

    state_type = HiddenState
    values = ("input_init", "input_std")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "tanh",
        input_init: Initialisation = "glorot",
        input_std: float = 0.1,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.activation = checked(type(self).__name__, activation)
        self.input_init: Initialisation = input_init
        self.input_std = input_std
        self.weight_input = nn.Parameter(torch.empty(hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W as the constructor's arguments say; set b to zero."""
        initialise(self.weight_input, 1, self.input_init, 1.0, self.input_std)
        nn.init.zeros_(self.bias)

    def project(self, inputs: Tensor) -> Tensor:
        """Return h_t of all steps, (…, hidden)."""
        return activate(F.linear(inputs, self.weight_input, self.bias), self.activation)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Forget the state."""
        return HiddenState(projected)
