"""The minimal gated recurrent unit that has a parallel scan."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.cell import Cell, HiddenState
from lit_seq.cells.initialisation import Initialisation, initialise


class MinGRU(Cell[HiddenState]):
    """minGRU, whose gate does not see the state, so that training is parallel over time.

        z_t = σ(W_z x_t + b_z)
        h̃_t = W_h x_t + b_h
        h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ h̃_t

    Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024 (arXiv:2410.01201), section 3.1. `lit_seq.scan`
    takes its steps in parallel, as the recurrence is linear in h; products of 1 - z_t, each below 1, cannot
    overflow, so that logarithms (their appendix B) are not needed, and h̃_t may have any sign.

    Attributes:
        weight_input: W_z and W_h, (2·hidden, input).
        bias: b_z and b_h, (2·hidden,).

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        input_init: how W_z and W_h are drawn.
        input_std: standard deviation of W where `input_init` is "normal".
        update_bias: initial b_z; below zero, the state is kept for about e^-b_z steps.
    """

    state_type = HiddenState
    values = ("input_init", "input_std", "update_bias")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        input_init: Initialisation = "glorot",
        input_std: float = 0.001,
        update_bias: float = 0.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.input_init: Initialisation = input_init
        self.input_std = input_std
        self.update_bias = update_bias
        self.weight_input = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W as the constructor's arguments say; set b_z to `update_bias` and b_h to zero."""
        initialise(self.weight_input, 2, self.input_init, 1.0, self.input_std)
        nn.init.zeros_(self.bias)
        nn.init.constant_(self.bias.chunk(2)[0], self.update_bias)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W_z x_t + b_z and h̃_t of all steps, (…, 2·hidden)."""
        return F.linear(inputs, self.weight_input, self.bias)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equations above."""
        gate, candidate = projected.chunk(2, -1)
        return HiddenState(torch.lerp(state.h, candidate, torch.sigmoid(gate)))
