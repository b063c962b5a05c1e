"""Long short-term memory."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.initialisation import draw_chrono_bias


class LSTMState(NamedTuple):
    """State of an LSTM.

    Attributes:
        h: output, (batch, hidden).
        c: content of the memory cells, (batch, hidden).
    """

    h: Tensor
    c: Tensor


class LSTM(AffineCell[LSTMState]):
    """Long short-term memory: gated memory cells for dependencies over hundreds of steps.

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000:

        i_t = σ(W_i x_t + b_i + U_i h_{t-1} + p_i ⊙ c_{t-1})
        f_t = σ(W_f x_t + b_f + U_f h_{t-1} + p_f ⊙ c_{t-1})
        g_t = tanh(W_g x_t + b_g + U_g h_{t-1})
        c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t
        o_t = σ(W_o x_t + b_o + U_o h_{t-1} + p_o ⊙ c_t)
        h_t = o_t ⊙ tanh(c_t)

    The blocks of the parameters are in the order i, f, g, o, as in `torch.nn.LSTM`. Where the input gate is
    coupled to the forget gate, i_t = 1 - f_t (CIFG, Greff et al. 2017, arXiv:1503.04069, section III), and
    they are f, g, o.

    Attributes:
        weight_peephole: p_i, p_f, p_o (Gers & Schmidhuber 2000), (3·hidden,), or p_f, p_o where the gates
            are coupled, initially zero; None without peepholes.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        forget_bias: initial b_f; without `bias` there is none.
        peepholes: let the gates see the cells.
        coupled: write to a cell only what it forgets, i_t = 1 - f_t.
        chrono: T_max, the longest dependency in steps: in place of `forget_bias`, b_f ~ log U(1, T_max - 1)
            for each unit, and b_i = -b_f (Tallec & Ollivier 2018, arXiv:1804.11188, eq. 16); None for
            `forget_bias`.
        initialisation: see `AffineCell`.

    Raises:
        ValueError: `chrono` is below 2, or there is no bias for it.
    """

    state_type = LSTMState
    gates = 4
    values = (*AffineCell.values, "forget_bias", "chrono")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 1.0,
        peepholes: bool = False,
        coupled: bool = False,
        chrono: float | None = None,
        **initialisation: Any,
    ) -> None:
        self.gates = 3 if coupled else 4
        super().__init__(input_size, hidden_size, **initialisation)
        self.forget_bias = forget_bias
        self.coupled = coupled
        self.chrono = self._checked_chrono(chrono)
        seeing = (self.gates - 1) * hidden_size
        self.weight_peephole = nn.Parameter(torch.empty(seeing)) if peepholes else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b_f to `forget_bias`, all else to zero.

        With `chrono` b_f and b_i are drawn instead.
        """
        super().reset_parameters()
        if self.bias is not None:
            *b_i, b_f, _, _ = self.bias.detach().chunk(self.gates)
            if self.chrono is None:
                nn.init.constant_(b_f, self.forget_bias)
            else:
                draw_chrono_bias(b_f, self.chrono)
                for b in b_i:
                    b.copy_(-b_f)
        if self.weight_peephole is not None:
            nn.init.zeros_(self.weight_peephole)

    def step(self, projected: Tensor, state: LSTMState) -> LSTMState:
        """Apply the equations above."""
        h, c = state
        *first, f, g, o = (projected + F.linear(h, self.weight_recurrent)).chunk(self.gates, -1)
        f = torch.sigmoid(self._see(c, f, -2))
        i = 1 - f if self.coupled else torch.sigmoid(self._see(c, first[0], 0))
        c = f * c + i * torch.tanh(g)
        return LSTMState(torch.sigmoid(self._see(c, o, -1)) * torch.tanh(c), c)

    def _see(self, c: Tensor, gate: Tensor, place: int) -> Tensor:
        """Add p ⊙ c to a gate, where there are peepholes."""
        if self.weight_peephole is None:
            return gate
        return gate + self.weight_peephole.chunk(self.gates - 1)[place] * c
