"""Long short-term memory."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.affine import AffineCell


class LSTMState(NamedTuple):
    """State of an LSTM.

    Attributes:
        h: output, (batch, hidden).
        c: content of the memory cells, (batch, hidden).
    """

    h: Tensor
    c: Tensor


class LSTM(AffineCell[LSTMState]):
    """LSTM with forget gate (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000).

        i_t = σ(W_i x_t + b_i + U_i h_{t-1} + p_i ⊙ c_{t-1})
        f_t = σ(W_f x_t + b_f + U_f h_{t-1} + p_f ⊙ c_{t-1})
        g_t = tanh(W_g x_t + b_g + U_g h_{t-1})
        c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
        o_t = σ(W_o x_t + b_o + U_o h_{t-1} + p_o ⊙ c_t)
        h_t = o_t ⊙ tanh(c_t)

    The blocks of the parameters are in the order i, f, g, o, as in `torch.nn.LSTM`.

    Attributes:
        weight_peephole: p_i, p_f, p_o (Gers & Schmidhuber 2000), (3·hidden,), initially zero; None without
            peepholes.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        forget_bias: initial b_f; without `bias` there is none.
        peepholes: let the gates see the cells.
        initialisation: see `AffineCell`.
    """

    state_type = LSTMState
    gates = 4
    values = (*AffineCell.values, "forget_bias")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 1.0,
        peepholes: bool = False,
        **initialisation: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        self.forget_bias = forget_bias
        self.weight_peephole = nn.Parameter(torch.empty(3 * hidden_size)) if peepholes else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b_f to `forget_bias`, all else to zero."""
        super().reset_parameters()
        if self.bias is not None:
            nn.init.constant_(self.bias.chunk(4)[1], self.forget_bias)
        if self.weight_peephole is not None:
            nn.init.zeros_(self.weight_peephole)

    def step(self, projected: Tensor, state: LSTMState) -> LSTMState:
        """Apply the equations above."""
        h, c = state
        i, f, g, o = (projected + F.linear(h, self.weight_recurrent)).chunk(4, -1)
        if self.weight_peephole is None:
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return LSTMState(torch.sigmoid(o) * torch.tanh(c), c)
        p_i, p_f, p_o = self.weight_peephole.chunk(3)
        c = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
        return LSTMState(torch.sigmoid(o + p_o * c) * torch.tanh(c), c)
