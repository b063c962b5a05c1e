"""A layer without recurrence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.cell import Cell, HiddenState


class FeedForward(Cell[HiddenState]):
    """No recurrence, the baseline without memory and a controller that leaves all memory to its machine.

        h_t = tanh(W x_t + b)

    Args:
        input_size: features of an input.
        hidden_size: features of the output.
    """

    state_type = HiddenState

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_input = nn.Parameter(torch.empty(hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W after Glorot & Bengio 2010, and set b to zero."""
        nn.init.xavier_uniform_(self.weight_input)
        nn.init.zeros_(self.bias)

    def project(self, inputs: Tensor) -> Tensor:
        """Return tanh(W x_t + b) of all steps, (…, hidden)."""
        return torch.tanh(F.linear(inputs, self.weight_input, self.bias))

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Forget the state."""
        return HiddenState(projected)
