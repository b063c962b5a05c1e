"""LSTM with layer normalisation."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.lstm import LSTMState


class LayerNormLSTM(AffineCell[LSTMState]):
    """LSTM with layer normalisation, for steadier and often faster training on long sequences.

        (i_t, f_t, g_t, o_t) = LN(W x_t) ⊙ γ_x + LN(U h_{t-1}) ⊙ γ_h + b
        c_t = σ(f_t) ⊙ c_{t-1} + σ(i_t) ⊙ tanh(g_t)
        h_t = σ(o_t) ⊙ tanh(LN(c_t) ⊙ γ_c + β_c)

    LN(a) = (a - μ) / √(σ² + ε), ε = 10⁻⁵, with mean and variance over all features of a, of each step and
    sequence by itself.

    Source: Ba, Kiros & Hinton 2016 (arXiv:1607.06450), supplementary material; their three biases of the
    gates are one here.

    Attributes:
        gain_input: γ_x, (4·hidden,), initially one.
        gain_recurrent: γ_h, likewise.
        gain_cell: γ_c, (hidden,), initially one.
        bias_cell: β_c, (hidden,), initially zero.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        forget_bias: initial b_f; without `bias` there is none.
        initialisation: see `AffineCell`.
    """

    state_type = LSTMState
    gates = 4
    values = (*AffineCell.values, "forget_bias")

    def __init__(
        self, input_size: int, hidden_size: int, forget_bias: float = 1.0, **initialisation: Any
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        self.forget_bias = forget_bias
        self.gain_input, self.gain_recurrent = (nn.Parameter(torch.empty(4 * hidden_size)) for _ in range(2))
        self.gain_cell, self.bias_cell = (nn.Parameter(torch.empty(hidden_size)) for _ in range(2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b_f, gains to 1, other biases to 0."""
        super().reset_parameters()
        if self.bias is not None:
            nn.init.constant_(self.bias.chunk(4)[1], self.forget_bias)
        for gain in (self.gain_input, self.gain_recurrent, self.gain_cell):
            nn.init.ones_(gain)
        nn.init.zeros_(self.bias_cell)

    def project(self, inputs: Tensor) -> Tensor:
        """Return LN(W x_t) ⊙ γ_x + b of all steps, (…, 4·hidden)."""
        a = F.linear(inputs, self.weight_input)
        return F.layer_norm(a, a.shape[-1:], self.gain_input, self.bias)

    def step(self, projected: Tensor, state: LSTMState) -> LSTMState:
        """Apply the equations above."""
        h, c = state
        a = F.linear(h, self.weight_recurrent)
        i, f, g, o = (projected + F.layer_norm(a, a.shape[-1:], self.gain_recurrent)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        normalised = F.layer_norm(c, c.shape[-1:], self.gain_cell, self.bias_cell)
        return LSTMState(torch.sigmoid(o) * torch.tanh(normalised), c)
